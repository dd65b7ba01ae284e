"""What one thread does with a few files: read, look up, decode, compute."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imgq_trainer.classifier import Classifier, Probabilities
from imgq_trainer.crew import Crew
from imgq_trainer.errors import Stopped
from imgq_trainer.file_pixels import Decoder
from imgq_trainer.in_flight import InFlight
from imgq_trainer.outcomes import Code, Outcome, Prediction, Rejection, Stamp, failed
from imgq_trainer.preprocessing import Pixels
from imgq_trainer.ranking import best_first, is_close
from imgq_trainer.reading import Content, Found, Root, find, read
from imgq_trainer.recalling import Recall

NO_NUMBERS = failed(Code.CORRUPT, "the model gives no number for it")


@dataclass(frozen=True, slots=True)
class _File:
    """A file that was read. place: its index in the call's names."""

    place: int
    name: bytes
    stamp: Stamp
    content: Content


_Outcomes = dict[int, Outcome]


@dataclass(frozen=True, slots=True)
class Hand:
    """The work on one call's files, for any thread of the crew.

    recall: None to compute every picture, also those that were seen before.
    """

    root: Root
    max_file_bytes: int
    decoder: Decoder
    classifier: Classifier
    top_k: int
    crew: Crew
    recall: Recall | None
    in_flight: InFlight
    given_up: threading.Event

    def classify(self, start: int, names: Sequence[bytes]) -> list[Outcome]:
        """Return the outcomes of a run of files, in order. Raises Stopped, between two files.

        start: the first one's index in the call's names.
        """
        outcomes: _Outcomes = {}
        files: list[_File] = []
        for place, name in enumerate(names, start):
            self._check()
            found = self._find(place, name)
            if not isinstance(found, Found):
                outcomes[place] = found
                continue
            with found:
                held_bytes = sum(file.stamp.size_bytes for file in files)
                if held_bytes + found.size_bytes > self.crew.share_bytes:
                    outcomes |= self._classify(files)
                    files = []
                if found.size_bytes > self.crew.share_bytes:
                    outcomes |= self._classify_large(place, name, found)
                    continue
                file = self._read(place, name, found)
            if isinstance(file, _File):
                files.append(file)
            else:
                outcomes[place] = file
        outcomes |= self._classify(files)
        return [outcomes[place] for place in range(start, start + len(names))]

    def _check(self) -> None:
        if self.given_up.is_set():
            raise Stopped

    def _find(self, place: int, name: bytes) -> Found | Outcome:
        """Open a file, unless it need not be read."""
        with self.in_flight(place, place, reading=True):
            found = find(self.root, name, max_file_bytes=self.max_file_bytes)
        if isinstance(found, Rejection) or self.recall is None:
            return found
        known = self.recall.unchanged(name, found.stamp)
        if known is None:
            return found
        with found:
            return replace(known, stamp=found.stamp, cached=True)

    def _classify_large(self, place: int, name: bytes, found: Found) -> _Outcomes:
        with self.crew.large_files.reserve(found.size_bytes):
            file = self._read(place, name, found)
            return self._classify([file]) if isinstance(file, _File) else {place: file}

    def _read(self, place: int, name: bytes, found: Found) -> _File | Rejection:
        with self.in_flight(place, place, reading=True):
            content = read(found)
        if isinstance(content, Rejection):
            return content
        return _File(place, name, found.stamp, content)

    def _classify(self, files: Sequence[_File]) -> _Outcomes:
        """Compute what is not known; of several files with the same bytes, one."""
        if self.recall is None or not files:
            return self._compute(files)
        known = dict(self.recall.known([file.content.digest for file in files]))
        first_of = {file.content.digest: file for file in reversed(files)}
        new = [file for digest, file in first_of.items() if digest not in known]
        outcomes = self._compute(sorted(new, key=lambda file: file.place))
        computed = [outcome for outcome in outcomes.values() if isinstance(outcome, Prediction)]
        self.recall.learn(computed)
        known |= {prediction.digest: prediction for prediction in computed}
        rest = [file for file in files if file.place not in outcomes]
        for file in rest:
            if (prediction := known.get(file.content.digest)) is not None:
                outcomes[file.place] = replace(prediction, stamp=file.stamp, cached=True)
        # What the bytes cannot tell, the name may: two names can be rejected in different ways.
        return outcomes | self._compute([file for file in rest if file.place not in outcomes])

    def _compute(self, files: Sequence[_File]) -> _Outcomes:
        """Decode and compute, as many pictures at once as the network likes best."""
        outcomes: _Outcomes = {}
        ready: list[tuple[_File, Pixels]] = []
        for file, ahead in zip(files, self._decode_ahead(files), strict=True):
            self._check()
            pixels = self._pixels(file) if ahead is None else ahead
            if isinstance(pixels, Rejection):
                outcomes[file.place] = replace(pixels, digest=file.content.digest)
                continue
            ready.append((file, pixels))
            if len(ready) == self.classifier.tile:
                outcomes |= self._predict(ready)
                ready = []
        return outcomes | self._predict(ready)

    def _pixels(self, file: _File) -> Pixels | Rejection:
        mark = self.in_flight(file.place, file.place)
        return self.decoder.pixels(file.content.data, file.name, mark)

    def _decode_ahead(self, files: Sequence[_File]) -> Sequence[Pixels | None]:
        """Let the device decode what it can."""
        if self.classifier.decode_ahead is None or not files:
            return [None] * len(files)
        data = [file.content.data for file in files]
        with self.in_flight(files[0].place, files[-1].place):
            return self.classifier.decode_ahead(data, self.decoder.max_pixels)

    def _predict(self, ready: Sequence[tuple[_File, Pixels]]) -> _Outcomes:
        if not ready:
            return {}
        scores = self.classifier.probabilities(np.stack([pixels for _, pixels in ready]))
        if self.decoder.exact:
            scores = self._settle(scores, [file for file, _ in ready])
        return {
            file.place: self._outcome(file, row)
            for (file, _), row in zip(ready, scores, strict=True)
        }

    def _outcome(self, file: _File, scores: Probabilities) -> Outcome:
        digest = file.content.digest
        if np.isnan(scores[0]):
            return replace(NO_NUMBERS, digest=digest)
        return Prediction(digest, *best_first(scores, self.top_k), stamp=file.stamp)

    def _settle(self, scores: Probabilities, files: Sequence[_File]) -> Probabilities:
        """Compute close calls again, from pixels that are Pillow's to the last bit."""
        for index in np.flatnonzero(is_close(scores)).tolist():
            file = files[index]
            mark = self.in_flight(file.place, file.place)
            pixels = self.decoder.exact_pixels(file.content.data, file.name, mark)
            if not isinstance(pixels, Rejection):
                scores[index] = self.classifier.probabilities(pixels[np.newaxis])[0]
        return scores
