"""Reports as they lie in the data directory: a page that runs nothing, and its figures."""

from pathlib import Path

from flask import Response, send_file

from imgq_db.errors import ReportNotFound

PAGE_FILE = "report.html"
FIGURES_FILE = "report.json"
# A report is a page of pictures and text, and some of the text is names of strangers' files.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
)


def send_page(folder: Path, what: str) -> Response:
    """Stream a report's page. what: whose report it is. Raises ReportNotFound."""
    response = _send(folder / PAGE_FILE, what, "text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = REPORT_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def send_figures(folder: Path, what: str) -> Response:
    """Stream a report's JSON. Raises ReportNotFound."""
    return _send(folder / FIGURES_FILE, what, "application/json")


def _send(path: Path, what: str, media: str) -> Response:
    # The folder is named by the digest of all that is in it.
    etag = f"{path.parent.name}-{path.suffix[1:]}"
    try:
        response = send_file(path, mimetype=media, etag=etag, conditional=True, max_age=0)
    except FileNotFoundError as error:
        raise ReportNotFound(what, f"{path} is not there") from error
    response.headers["Content-Type"] = media
    response.headers["Cache-Control"] = "no-cache"
    return response
