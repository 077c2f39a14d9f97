"""The Materials Project's REST service through its own client: retries, deadlines, a check of every answer.

The key comes from the environment variable `MP_API_KEY` and goes into request headers only.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_combine,
    wait_exponential,
    wait_random_exponential,
)

from uprung.job.extras import extra
from uprung.job.logs import redacted
from uprung.sources.materials_project.ids import parse, spell
from uprung.sources.materials_project.parts import DownloadError

with extra("pull"):
    import requests
    from mp_api.client.core.exceptions import MPRestError
    from mp_api.client.core.settings import MAPI_CLIENT_SETTINGS
    from mp_api.client.routes.materials.materials import MaterialsRester

T = TypeVar("T")
KEY = "MP_API_KEY"
KEY_LENGTH = 32
ASK_AGAIN = 3  # an answer that lacks documents is believed when this many say so
_STATUS = re.compile(r"status code (\d{3})")
#: Answers that asking again does not change.
FINAL = {400, 401, 403, 404, 422}


class BlockedError(DownloadError):
    """The service refuses this address; asking on would make it worse."""


@dataclass(frozen=True)
class Patience:
    """How often and how slowly a request is repeated: exponential pauses, each between half and the whole."""

    attempts: int = 9
    first: float = 1.0  # s, pause
    longest: float = 120.0  # s, pause
    deadline: float = 120.0  # s for one call; the client itself waits without limit for some answers

    def pauses(self) -> wait_combine:
        """Return tenacity's rule for the pauses."""
        half = {"multiplier": self.first / 2, "max": self.longest / 2}
        return wait_combine(wait_exponential(**half), wait_random_exponential(**half))


def api_key() -> str:
    """Return the user's key.

    Raises:
        DownloadError: the environment has none, or none of the right length.
    """
    key = os.environ.get(KEY, "")
    if len(key) != KEY_LENGTH:
        state = "is not set" if not key else f"has {len(key)} characters, not {KEY_LENGTH}"
        raise DownloadError(
            f"the environment variable {KEY} {state}; get a key at https://next-gen.materialsproject.org/api, and keep "
            "it out of study files"
        )
    return key


def _brief(error: BaseException | None) -> str:
    """Return an error as one line, without the queries of addresses, which hold a hundred identifiers."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return redacted(re.sub(r"\?\S+", "", line))[:500]


def persistently(
    action: Callable[[], T],
    what: str,
    patience: Patience,
    before: Callable[[], object] = lambda: None,
    *,
    limited: bool = True,
) -> T:
    """Return what an action returns, repeating it while its failures may pass.

    Args:
        action: the request.
        what: its name in messages.
        patience: how often, how slowly.
        before: called before every repetition; raises when asking on makes no sense.
        limited: whether the deadline holds; not for an action of many requests that have deadlines of their own.

    Raises:
        DownloadError: it failed for good, or too often.
    """

    def announce(state: RetryCallState) -> None:
        assert state.outcome is not None
        logging.warning("%s: %s; again in %.1f s", what, _brief(state.outcome.exception()), state.upcoming_sleep)

    attempts = Retrying(
        stop=stop_after_attempt(patience.attempts),
        wait=patience.pauses(),
        retry=retry_if_exception(_may_pass),
        before_sleep=announce,
        reraise=True,
    )
    try:
        for attempt in attempts:
            with attempt:
                if attempt.retry_state.attempt_number > 1:
                    before()
                return within(patience.deadline, action) if limited else action()
    except DownloadError:
        raise
    except Exception as error:  # whatever a client, a parser or a socket may raise
        if "blocked" in str(error).lower():
            raise BlockedError(f"{what}: the service has blocked this address; wait before going on") from None
        often = f"failed {patience.attempts} times, last with {_brief(error)}; what was downloaded is kept, run again"
        raise DownloadError(f"{what}: {often if _may_pass(error) else _brief(error)}") from None
    raise AssertionError("unreachable")


def _may_pass(error: BaseException) -> bool:
    """Return whether asking again may help."""
    text, final = str(error), not isinstance(error, Exception) or isinstance(error, DownloadError)
    status = _STATUS.search(text)
    return not (final or "blocked" in text.lower() or (status is not None and int(status[1]) in FINAL))


def within(seconds: float, action: Callable[[], T]) -> T:
    """Return what an action returns; raise TimeoutError when it takes longer (its thread is left behind)."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(action())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return results[0]


def on_one_server(session: Any) -> Any:
    """Return a session of requests that is sent on to no other server: the key in its headers would go along."""
    follow = session.get_redirect_target

    def target(answer: Any) -> Any:
        found = follow(answer)
        if found is not None and (there := _server(urljoin(answer.url, found))) != (here := _server(answer.url)):
            raise DownloadError(
                f"{here} sends requests on to {there}, which gets neither them nor the key (allowed: the same scheme, "
                "host and port); if the service has moved, set MP_API_ENDPOINT to its new address"
            )
        return found

    session.get_redirect_target = target
    return session


def _server(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or {'http': 80, 'https': 443}.get(parts.scheme)}"


@dataclass
class Service:
    """The REST service."""

    patience: Patience = Patience()
    client: MaterialsRester | None = None

    @property
    def endpoint(self) -> str:
        """Where the service is: the client's own setting, which `MP_API_ENDPOINT` changes."""
        return f"{os.environ.get('MP_API_ENDPOINT') or MAPI_CLIENT_SETTINGS.ENDPOINT}".rstrip("/") + "/"

    def heartbeat(self) -> dict[str, Any]:
        """Return what the service says about itself: `db_version`, `access_controlled_batch_ids`."""
        return persistently(self._heartbeat, "heartbeat", self.patience)

    def _heartbeat(self) -> dict[str, Any]:
        with on_one_server(requests.Session()) as session:
            answer = session.get(f"{self.endpoint}heartbeat", timeout=60)
        if "blocked" in answer.text.lower():
            raise BlockedError("heartbeat: the service has blocked this address; wait before going on")
        if answer.status_code != 200:
            raise MPRestError(f"heartbeat returned with error status code {answer.status_code}")
        content = answer.json()
        return {
            "db_version": str(content["db_version"]),
            "access_controlled_batch_ids": sorted(content.get("access_controlled_batch_ids") or []),
        }

    def entries(self, run_type: str, materials: Sequence[int]) -> tuple[dict[int, dict[str, Any]], list[int]]:
        """Return the main entries of materials at a run type, and the materials that have none.

        Documents that an answer lacks are asked for again: an empty or short page looks like a complete one.

        Args:
            run_type: `GGA`, `GGA+U` or `r2SCAN`.
            materials: numbers of materials, at most 100.
        """
        found: dict[int, dict[str, Any]] = {}
        for _ in range(ASK_AGAIN):
            waiting = [number for number in materials if number not in found]
            if not waiting:
                break
            what = f"main entries, {run_type}, {len(waiting)} materials"
            answer = persistently(partial(self._ask, run_type, waiting), what, self.patience, self._heartbeat)
            for number, entry in answer:
                if number not in waiting:
                    raise DownloadError(f"{what}: the answer has {spell(number)}, which was not asked for")
                found[number] = _lower(found.get(number), entry)
        return {k: v for k, v in found.items() if v}, [number for number in materials if not found.get(number)]

    def _ask(self, run_type: str, materials: Sequence[int]) -> list[tuple[int, dict[str, Any]]]:
        if self.client is None:
            self._heartbeat()  # the client asks for one of its own, and would be sent on
            self.client = MaterialsRester(
                api_key=api_key(),
                endpoint=self.endpoint,
                use_document_model=False,  # a field missing from the first document would vanish from all
                mute_progress_bars=True,
                timeout=60,
            )
            on_one_server(self.client.session)
        documents = self.client.get_blessed_entries(
            run_type=run_type, material_ids=[spell(number) for number in materials], chunk_size=1000
        )
        return [(parse(doc["material_id"])[1], _essentials(doc["blessed_entry"])) for doc in documents]


def _essentials(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what the filters need of an entry; {} where it cannot be used."""
    try:
        return {
            "energy": float(entry["energy"]),
            "n_atoms": round(sum(float(n) for n in entry["composition"].values())),
            "hubbards": {k: float(v) for k, v in ((entry.get("parameters") or {}).get("hubbards") or {}).items() if v},
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}  # one bad document does not end a download; the material is listed as being without an entry


def _lower(first: dict[str, Any] | None, second: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of lower energy per atom: the service has given two for one material."""
    if not first or not second:
        return first or second
    return min(first, second, key=lambda entry: entry["energy"] / entry["n_atoms"])
