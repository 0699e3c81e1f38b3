"""Manage the windows that this side opens to its peer (RFC 9113, section 5.2)."""

from __future__ import annotations

from collections.abc import Callable

from serving.http2.frames import DEFAULT_WINDOW, Code, Http2Error, StreamError, window_update


class Incoming:
    """The windows of a connection (``window`` bytes) and of its streams (``of_stream`` bytes each): counts received
    DATA, and opens the windows again."""

    def __init__(self, window: int, of_stream: int) -> None:
        self._window = window
        self._of_stream = of_stream
        self._unread = 0  # bytes since the window of the connection was last opened
        self.unread_of: dict[int, int] = {}  # the same for each stream that has sent a part
        self.withheld: set[int] = set()  # streams whose window :meth:`open_withheld` opens

    def sizes(self) -> dict[str, int]:
        """Count the streams that have sent a part."""
        return {"unread": len(self.unread_of), "withheld": len(self.withheld)}

    def first_update(self) -> bytes:
        """Return the update that opens the window of the connection to its full size."""
        return window_update(0, self._window - DEFAULT_WINDOW) if self._window > DEFAULT_WINDOW else b""

    def received(self, size: int) -> bytes:
        """Count DATA, and return a window update or nothing. Raises Http2Error: it exceeded the connection's window."""
        unread = self._unread + size
        if 2 * unread < self._window:
            self._unread = unread
            return b""
        if unread > self._window:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, "more bytes than the window of the connection")
        self._unread = 0
        return window_update(0, unread)

    def received_of(self, stream: int, size: int, wants_more: Callable[[int], bool]) -> bytes:
        """Count DATA of an unfinished stream likewise; :meth:`open_withheld` sends updates that are withheld here.

        Raises:
            StreamError: it exceeded the window of the stream.
        """
        unread = self.unread_of.get(stream, 0) + size
        self.unread_of[stream] = unread
        if 2 * unread < self._of_stream:
            return b""
        if unread > self._of_stream:
            raise StreamError(stream, Code.FLOW_CONTROL_ERROR, "more bytes than the window of the stream")
        if not wants_more(stream):
            self.withheld.add(stream)
            return b""
        self.unread_of[stream] = 0
        return window_update(stream, unread)

    def ended(self, stream: int, size: int) -> None:
        """Count the last ``size`` bytes of a stream. Raises StreamError as :meth:`received_of`."""
        unread = self.unread_of.pop(stream, 0)
        if unread:
            self.withheld.discard(stream)
        if unread + size > self._of_stream:
            raise StreamError(stream, Code.FLOW_CONTROL_ERROR, "more bytes than the window of the stream")

    def forget(self, stream: int) -> None:
        """Forget a stream whose data is no longer expected or needed."""
        if self.unread_of.pop(stream, 0):
            self.withheld.discard(stream)

    def open_withheld(self, wants_more: Callable[[int], bool]) -> bytes:
        """Return updates that open the withheld windows of streams that may now send more."""
        updates = b""
        for stream in [stream for stream in self.withheld if wants_more(stream)]:
            self.withheld.discard(stream)
            updates += window_update(stream, self.unread_of[stream])
            self.unread_of[stream] = 0
        return updates
