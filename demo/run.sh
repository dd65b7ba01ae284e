#!/bin/sh
# The demo: a local stack, six real photos, their labels; then everything is stopped again.
set -eu
cd "$(dirname "$0")/.."
# The servers of root's stack run under another account, which may not enter root's own folders.
if [ "$(id -u)" = 0 ]; then IMGQ_HOME=/var/lib/imgq-demo; else IMGQ_HOME="$PWD/.demo"; fi
export IMGQ_HOME
mkdir -p .demo
unset IMGQ_SERVER IMGQ_API_KEY

stop() { imgq down; }
trap stop EXIT
trap 'exit 130' INT TERM

echo "Starting Postgres, Valkey, the API, a reconciler and a worker ..."
imgq up --detach
echo
imgq submit-folder demo/photos --name demo --wait
echo
imgq results last --format table
imgq results last --output .demo/labels.csv
cat <<END

The same as a table: .demo/labels.csv
The ledger, checked:
END
imgq verify-job last
cat <<END

That was a real run: Postgres holds the job and its six rows, a Celery worker made them.
Next:
  source .venv/bin/activate
  imgq up                          # in one terminal
  imgq submit-folder ./images      # in another, with your own folder

END
