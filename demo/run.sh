#!/bin/sh
# The demo: a local stack; six real photos, their labels; a model trained on 300 pictures of clothes,
# and 100 new ones labelled by it. Then everything is stopped again.
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

echo "Starting Postgres, Valkey, the API, a reconciler, a worker and a trainer ..."
imgq up --detach
echo
imgq submit-folder demo/photos --name demo --wait
echo
imgq results last --format table
imgq results last --output .demo/labels.csv
echo
echo "The ledger, checked:"
imgq verify-job last

echo
echo "Now a model of our own, from 10 folders of 30 pictures of clothes (a minute or two) ..."
imgq train demo/train --name clothes --wait
rm -rf .demo/report
imgq models report clothes -o .demo/report
echo
imgq submit-folder demo/inbox --model clothes --output .demo/inbox.csv
echo
python demo/score.py .demo/inbox.csv demo/inbox.answers.csv
cat <<END

That was a real run: Postgres holds the jobs, their rows and the model; Celery workers made them.
  .demo/labels.csv           the six photos
  .demo/inbox.csv            the hundred pictures of clothes
  .demo/report/report.html   what the new model can do, and how sure that is: open it in a browser
Next:
  source .venv/bin/activate
  imgq up                                  # in one terminal
  imgq submit-folder ./images              # in another, with your own folder
  imgq train ./flowers --name flowers      # a folder of pictures for each class

END
