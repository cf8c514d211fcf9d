"""Next hops kept fresh, asked of the kernel."""

from __future__ import annotations

import pytest

from flowtable.live.keeper import NeighbourKeeper
from flowtable.live.mirror.mirror import Mirror
from tests.live.host import follow, host, run
from tests.live.hosts import in_namespace


@pytest.mark.parametrize("address", ["10.0.1.9", "2001:db8:1::9"])
@in_namespace
def test_a_neighbour_is_managed_until_it_is_released(address):
    commands = (
        "link add lan0 type veth peer lan0x",
        "link set lan0x up",
        "link set lan0 up",
        "address add 10.0.1.1/24 dev lan0",
        "address add 2001:db8:1::1/64 dev lan0",
        f"neigh add {address} lladdr 02:00:00:00:00:09 dev lan0 nud reachable",
    )
    with host(*commands) as namespace, Mirror() as mirror:
        keeper = NeighbourKeeper()
        [neighbour] = mirror.topology.neighbours
        assert not keeper.managed(neighbour)
        assert keeper.manage(neighbour)
        assert "managed" in namespace.run("ip", "neigh", "show", "dev", "lan0")
        follow(mirror)
        assert neighbour.valid and neighbour.mac == bytes.fromhex("020000000009")
        keeper.release(neighbour)
        assert not keeper.managed(neighbour)
        assert neighbour.valid
        run(namespace, f"neigh replace {address} lladdr 02:00:00:00:00:09 dev lan0 nud permanent")
        follow(mirror)
        assert not keeper.manage(neighbour)
        run(namespace, f"neigh del {address} dev lan0")
        assert not keeper.managed(neighbour)
        keeper.close()
