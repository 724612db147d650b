"""The Open_vSwitch API of ovsdbapp against a running switch: what its users do with it.

What a case prints is its report; an exception is its failure.
"""
import queue
import statistics
import sys
import threading
import time
import uuid

from ovsdbapp import event as base_event
from ovsdbapp.backend.ovs_idl import event

from ovsdbapp_api import TIMEOUT_S, connect, do, eventually, fails, main, same, value


def waits(api):
    """How long a command takes until the switch has done it."""
    do(api.add_br("br0"))
    times = {"add_port": [], "db_set": [], "del_port": []}

    def timed(name, command):
        start = time.monotonic()
        do(command)
        times[name].append((time.monotonic() - start) * 1000)
        same(api._ovs.cur_cfg, api._ovs.next_cfg)

    for _ in range(20):
        timed("add_port", api.add_port("br0", "tap0"))
        timed("db_set", api.db_set("Port", "tap0", ("tag", len(times["db_set"]) + 1)))
        timed("del_port", api.del_port("tap0"))
    for name, found in times.items():
        middle = statistics.median(found)
        print("%s until cur_cfg: median %.1f ms, longest %.1f ms" % (name, middle, max(found)))
        assert middle < 250, (name, found)


class PortEvent(event.RowEvent):
    """Puts what happens to interfaces into a queue."""

    def __init__(self, *conditions):
        kinds = (self.ROW_CREATE, self.ROW_UPDATE, self.ROW_DELETE)
        super().__init__(kinds, "Interface", conditions or None)
        self.seen = queue.Queue()

    def run(self, kind, row, old):
        columns = row._table.columns
        changed = [column for column in columns if kind == self.ROW_UPDATE and hasattr(old, column)]
        self.seen.put((kind, row.name, changed))


class Plugged(event.WaitEvent):
    """Comes when an interface has its number."""

    event_name = "Plugged"

    def __init__(self, name):
        super().__init__((self.ROW_UPDATE,), "Interface", (("name", "=", name),),
                         timeout=TIMEOUT_S)

    def matches(self, kind, row, old=None):
        return super().matches(kind, row, old) and hasattr(old, "ofport") and bool(row.ofport)


def events(api):
    other = connect(api.remote)
    watched, plugged = PortEvent(("name", "=", "tap0")), Plugged("tap0")
    api.events.watch_events([watched, plugged])
    do(other.add_br("br0"))
    do(other.add_port("br0", "tap0"))
    assert plugged.wait(), "no event of the port's number"
    do(other.db_set("Interface", "tap0", ("external_ids", {"iface-id": "x"})))
    do(other.del_port("tap0"))
    seen = []
    while not seen or seen[-1][0] != base_event.RowEvent.ROW_DELETE:
        seen.append(watched.seen.get(timeout=TIMEOUT_S))
    same(seen[0][:2], ("create", "tap0"))
    same({name for _, name, _ in seen}, {"tap0"})
    updates = [changed for kind, _, changed in seen if kind == "update"]
    assert ["external_ids"] in updates, updates
    assert any("ofport" in changed for changed in updates), updates
    api.events.unwatch_events([watched])
    do(other.add_port("br0", "tap0"))
    eventually("the row is known", lambda: "tap0" in do(api.list_ports("br0")))
    assert watched.seen.empty()


def concurrent(api):
    """Clients that change the same rows: each change is there in the end."""
    do(api.add_br("br0"))
    rounds, clients = 15, [connect(api.remote) for _ in range(4)]
    failures = []

    def work(number, client):
        try:
            for turn in range(rounds):
                key = "%d-%d" % (number, turn)
                do(client.db_set("Bridge", "br0", ("external_ids", {key: "x"})))
                do(client.db_add("Bridge", "br0", "other_config", {key: "y"}))
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=pair) for pair in enumerate(clients)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    same(failures, [])
    wanted = sorted("%d-%d" % (n, turn) for n in range(len(clients)) for turn in range(rounds))
    for column in ("external_ids", "other_config"):
        eventually(column, lambda: sorted(value(api, "Bridge", "br0", column)) == wanted)


def crowd(api):
    """200 ports, plugged by threads over one connection and over several."""
    do(api.add_br("br-int"))
    count, clients = 200, [api] + [connect(api.remote) for _ in range(3)]
    failures, start = [], time.monotonic()

    def work(number):
        client = clients[number % len(clients)]
        try:
            for port in range(number, count, 16):
                name = "v%d" % port
                with client.transaction(check_error=True) as txn:
                    txn.add(client.add_port("br-int", name))
                    txn.add(client.db_set("Interface", name, (
                        "external_ids", {"iface-id": str(uuid.uuid4()), "vm-uuid": name})))
                    txn.add(client.db_set("Port", name, ("tag", port + 1)))
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.monotonic() - start
    same(failures, [])
    eventually("all are known", lambda: len(do(api.list_ports("br-int"))) == count)
    rows = do(api.db_list("Interface", columns=["name", "ofport", "error"]))
    numbers = [row["ofport"] for row in rows if row["name"] != "br-int"]
    assert len(set(numbers)) == count and min(numbers) > 0, numbers
    print("%d ports in %.2f s, %.1f ms each" % (count, took, took * 1000 / count))


def clean_up(api):
    """What is done to leave nothing of a Neutron agent behind."""
    for bridge in ("br-int", "br-tun"):
        do(api.add_br(bridge))
    do(api.add_port("br-int", "tap0", external_ids={"iface-id": "one"}))
    do(api.add_port("br-int", "tap1"))
    do(api.add_port("br-int", "p0", type="patch", options={"peer": "p1"}))
    do(api.add_port("br-tun", "p1", type="patch", options={"peer": "p0"}))
    for bridge in do(api.list_br()):
        found = do(api.db_list("Interface", do(api.list_ifaces(bridge)),
                               columns=["name", "external_ids"], if_exists=True))
        mine = [row["name"] for row in found if "iface-id" in row["external_ids"]]
        with api.transaction(check_error=True) as txn:
            for port in mine:
                txn.add(api.del_port(port, bridge))
    same(sorted(do(api.list_ports("br-int"))), ["p0", "tap1"])
    with api.transaction(check_error=True) as txn:
        for bridge in do(api.list_br()):
            txn.add(api.del_br(bridge))
    same(do(api.list_br()), [])
    for table in ("Bridge", "Port", "Interface"):
        same(do(api.db_list(table)), [])


def os_vif(api):
    """A machine's port as Nova's os-vif plugs and unplugs it."""
    bridge, device, mac = "br-int", "tap0", "fa:16:3e:00:00:01"
    ids = {"iface-id": str(uuid.uuid4()), "iface-status": "active", "attached-mac": mac,
           "vm-uuid": str(uuid.uuid4())}
    do(api.add_br(bridge, datapath_type="system"))
    same(api.idl.tables["Interface"].columns["mtu_request"].name, "mtu_request")
    qos_ids = {"id": ids["iface-id"], "_type": "port_qos"}
    do(api.db_create("QoS", type="linux-noop", external_ids=qos_ids))
    qos = do(api.db_find("QoS", ("external_ids", "=", qos_ids), columns=["_uuid"]))[0]["_uuid"]
    with api.transaction(check_error=True) as txn:
        txn.add(api.add_port(bridge, device))
        txn.add(api.db_set("Port", device, ("qos", qos), ("tag", 4095),
                           ("vlan_mode", "trunk"), ("trunks", [4095])))
        txn.add(api.db_set("Interface", device, ("external_ids", ids)))
    do(api.db_set("Interface", device, ("mtu_request", 1450)))
    assert value(api, "Interface", device, "ofport") > 0
    same(value(api, "Interface", device, "mtu"), 1450)
    same(do(api.list_ports(bridge)), [device])
    # Neutron's agent gives the port its VLAN, and takes the isolation away.
    with api.transaction(check_error=True) as txn:
        txn.add(api.db_set("Port", device, ("tag", 5)))
        txn.add(api.db_clear("Port", device, "vlan_mode"))
        txn.add(api.db_clear("Port", device, "trunks"))
    found = do(api.db_list("Port", [device], columns=["tag", "trunks", "vlan_mode"]))[0]
    same(found, {"tag": 5, "trunks": [], "vlan_mode": []})
    do(api.del_port(device, bridge))
    do(api.db_destroy("QoS", qos))
    do(api.del_br(bridge))
    same(do(api.db_list("QoS")), [])


def locks(api):
    """Two that want the same lock: the second gets it when the first goes."""
    first = connect(api.remote, lock="role")
    eventually("the first has it", lambda: first.idl.has_lock)
    do(first.add_br("br0"))
    second = connect(api.remote, lock="role")
    eventually("the second waits", lambda: second.idl.is_lock_contended)
    message = fails(second.add_br("br1"))
    assert "lock" in message, message
    first.ovsdb_connection.stop()
    eventually("the second has it", lambda: second.idl.has_lock)
    do(second.add_br("br1"))
    eventually("both are there", lambda: sorted(do(api.list_br())) == ["br0", "br1"])


def restarts(api):
    """The switch ends and comes back while a client is connected."""
    do(api.add_br("br0"))
    do(api.add_port("br0", "tap0"))
    number = value(api, "Interface", "tap0", "ofport")
    seqno = api.idl.change_seqno
    print("restart", flush=True)
    same(sys.stdin.readline(), "restarted\n")
    # Whoever is connected finds back by itself, and what was there is there.
    eventually("it is connected again", lambda: api.idl.change_seqno > seqno)
    same(value(api, "Interface", "tap0", "ofport"), number)
    do(api.add_port("br0", "tap1"))
    assert value(api, "Interface", "tap1", "ofport") > 0
    do(api.del_br("br0"))
    print("done", flush=True)


if __name__ == "__main__":
    main([waits, events, concurrent, crowd, clean_up, os_vif, locks, restarts])
