"""The windows that this side opens to its peer (RFC 9113, section 5.2)."""

from __future__ import annotations

from collections.abc import Callable

from serving.http2.frames import DEFAULT_WINDOW, Code, Http2Error, StreamError, window_update


class Incoming:
    """Counts DATA against the windows, and says when to open them again. ``window`` is that of the connection and
    ``of_stream`` that of each stream, in bytes."""

    def __init__(self, window: int, of_stream: int) -> None:
        self._window = window
        self._of_stream = of_stream
        self._unread = 0  # bytes since the window of the connection was last opened
        self.unread_of: dict[int, int] = {}  # the same of each stream that has sent a part
        self.withheld: set[int] = set()  # streams whose window :meth:`open_withheld` opens

    def sizes(self) -> dict[str, int]:
        """Counts the streams that have sent a part."""
        return {"unread": len(self.unread_of), "withheld": len(self.withheld)}

    def first_update(self) -> bytes:
        """Opens the window of the connection as wide as it shall be."""
        return window_update(0, self._window - DEFAULT_WINDOW) if self._window > DEFAULT_WINDOW else b""

    def received(self, size: int) -> bytes:
        """The answer to DATA, if there is one. Raises Http2Error: it was more than the connection's window."""
        unread = self._unread + size
        if 2 * unread < self._window:
            self._unread = unread
            return b""
        if unread > self._window:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, "more bytes than the window of the connection")
        self._unread = 0
        return window_update(0, unread)

    def received_of(self, stream: int, size: int, wants_more: Callable[[int], bool]) -> bytes:
        """The same for a stream that goes on. What it may not have yet comes from :meth:`open_withheld`.

        Raises:
            StreamError: it was more than the window of the stream.
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
        """The last ``size`` bytes of a stream are here. Raises StreamError as :meth:`received_of`."""
        unread = self.unread_of.pop(stream, 0)
        if unread:
            self.withheld.discard(stream)
        if unread + size > self._of_stream:
            raise StreamError(stream, Code.FLOW_CONTROL_ERROR, "more bytes than the window of the stream")

    def forget(self, stream: int) -> None:
        """Nothing more comes on a stream, or nothing that matters."""
        if self.unread_of.pop(stream, 0):
            self.withheld.discard(stream)

    def open_withheld(self, wants_more: Callable[[int], bool]) -> bytes:
        """Opens the windows of those that may have more now."""
        updates = b""
        for stream in [stream for stream in self.withheld if wants_more(stream)]:
            self.withheld.discard(stream)
            updates += window_update(stream, self.unread_of[stream])
            self.unread_of[stream] = 0
        return updates
