"""What goes wrong between here and the hub, in one sentence each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TOKEN = "`hf auth login` or HF_TOKEN brings a token"


class HubError(ValueError):
    """What a user can mend about a repository on the hub, in one sentence."""


@contextmanager
def told(handle: str) -> Iterator[None]:
    """Says what the hub or the way to it refuses; progress is shown where there is a terminal to show it on.

    Args:
        handle: The repository, as the user named it.

    Raises:
        HubError: In place of huggingface_hub's own errors.
    """
    from huggingface_hub import errors

    try:
        with _progress():
            yield
    except errors.GatedRepoError as error:
        raise HubError(
            f"A gated repository wants its terms accepted on the hub, and a token. Received: {handle}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            f"A repository must exist and be yours to see: {_TOKEN} for a private one. "
            f"Received: {handle}, which the hub does not show"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(f"A revision is a branch, tag or commit of its repository. Received: {handle}") from error
    except errors.LocalEntryNotFoundError as error:
        raise HubError(f"{_unreached(error)} Received: {handle}") from error
    except errors.OfflineModeIsEnabled as error:
        raise HubError(f"The hub is not asked while HF_HUB_OFFLINE is set. Received: {handle}") from error
    except errors.HFValidationError as error:
        raise HubError(f"A repository's name is as the hub allows it. Received: {handle} ({_line(error)})") from error
    except errors.HfHubHTTPError as error:
        raise HubError(f"{_refused(error)} Received: {handle}") from error
    except (errors.HTTPError, ConnectionError) as error:
        raise HubError(f"The hub cannot be reached ({_line(error)}). Received: {handle}") from error
    except RuntimeError as error:  # of threads that upload or download, and of the store of large files
        reason = _line(error.__cause__ or error)
        raise HubError(f"A file must arrive whole ({reason}): try again. Received: {handle}") from error


@contextmanager
def _progress() -> Iterator[None]:
    """Keeps progress out of files and pipes, unless HF_HUB_DISABLE_PROGRESS_BARS says either."""
    from huggingface_hub import constants, utils

    shown = sys.stderr is not None and sys.stderr.isatty()
    if shown or constants.HF_HUB_DISABLE_PROGRESS_BARS is not None or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()


def _refused(error: Exception) -> str:
    """What the hub answered, by its status."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status == 401:
        return f"The hub wants a token that it knows: {_TOKEN}."
    if status == 403:
        return "The hub wants a token with the right to do this: one that may write, to a repository of yours."
    said = getattr(error, "server_message", None) or _line(error)
    return f"The hub must accept what is asked of it; it answered {status}: {' '.join(str(said).split())[:200]}."


def _unreached(error: BaseException) -> str:
    """Why nothing came, where the cache has nothing either."""
    cause = error.__cause__
    if cause is None or type(cause).__name__ == "OfflineModeIsEnabled":
        return "Offline a repository must be whole in the cache."
    return f"The hub must be reached where the cache does not have a repository whole ({_line(cause)})."


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")
