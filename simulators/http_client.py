"""aiohttp's client over World.network: the same requests in virtual time and in the real one."""

from __future__ import annotations

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace

from gateway.world import Network


class SimConnector(aiohttp.BaseConnector):
    """Opens connections through a world's network; plain HTTP and WebSocket, without proxies.

    Idle connections are kept for as long as the server keeps them: aiohttp would time them by the machine's clock.
    """

    def __init__(self, network: Network, *, limit: int = 100) -> None:
        super().__init__(keepalive_timeout=None, limit=limit)
        self._network = network

    async def _create_connection(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> ResponseHandler:
        host, port = req.url.raw_host, req.url.port
        assert host is not None
        assert port is not None
        try:
            _, protocol = await self._network.connect(self._factory, host, port)
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        assert isinstance(protocol, ResponseHandler)
        return protocol


def http_session(network: Network, *, total_s: float = 60.0) -> aiohttp.ClientSession:
    """A client session over a world's network; close it when done."""
    return aiohttp.ClientSession(connector=SimConnector(network), timeout=aiohttp.ClientTimeout(total=total_s))
