"""The Open_vSwitch API of ovsdbapp against a running switch, one function for each test.

Arguments: the case, the database's remote, then the case's own. What a case prints is its
report; an exception is its failure.
"""
import queue
import statistics
import sys
import threading
import time
import uuid

from ovsdbapp import event as base_event
from ovsdbapp.backend.ovs_idl import connection, event, idlutils
from ovsdbapp.schema.open_vswitch import impl_idl

TIMEOUT_S = 20


class Events:
    """The events of a connection, told to those who watch."""

    def __init__(self, idl):
        self.handler = event.RowEventHandler()
        idl.notify = self.handler.notify
        idl.notify_lock = self.handler.notify_lock


def connect(remote, lock=None):
    idl = connection.OvsdbIdl.from_server(remote, "Open_vSwitch")
    events = Events(idl)
    if lock:
        idl.set_lock(lock)
    # The library keeps one connection for each class.
    own = type("Api", (impl_idl.OvsdbIdl,), {})
    api = own(connection.Connection(idl, TIMEOUT_S))
    api.events = events.handler
    return api


def do(command):
    return command.execute(check_error=True)


def fails(command, error=Exception):
    try:
        do(command)
    except error as found:
        return str(found)
    raise AssertionError("%s succeeded" % command)


def same(found, wanted):
    assert found == wanted, "%r is not %r" % (found, wanted)


def value(api, table, record, column):
    return do(api.db_get(table, record, column))


def eventually(what, condition):
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, "not in time: " + what
        time.sleep(0.002)


def bridges(api):
    do(api.add_br("br0"))
    do(api.add_br("br0", may_exist=True))
    fails(api.add_br("br0", may_exist=False))
    do(api.add_br("br1", datapath_type="netdev"))
    same(value(api, "Bridge", "br1", "datapath_type"), "netdev")
    do(api.add_br("br1", datapath_type="system"))
    same(value(api, "Bridge", "br1", "datapath_type"), "system")
    same(sorted(do(api.list_br())), ["br0", "br1"])
    same(do(api.br_exists("br0")), True)
    same(do(api.br_exists("br7")), False)
    same(value(api, "Interface", "br0", "type"), "internal")
    same(value(api, "Interface", "br0", "ofport"), 65534)
    same(len(value(api, "Bridge", "br0", "datapath_id")), 16)
    do(api.del_br("br1"))
    do(api.del_br("br1"))
    fails(api.del_br("br1", if_exists=False))
    same(do(api.list_br()), ["br0"])
    assert "netdev" in api._ovs.datapath_types and "patch" in api._ovs.iface_types


def ports(api):
    do(api.add_br("br0"))
    do(api.add_br("br1"))
    do(api.add_port("br0", "tap0"))
    do(api.add_port("br0", "tap0"))
    fails(api.add_port("br0", "tap0", may_exist=False))
    attributes = {"external_ids": {"iface-id": "one"}, "mtu_request": 1400}
    do(api.add_port("br1", "tap1", **attributes))
    fails(api.add_port("br0", "tap2", no_such_column="x"))
    same(do(api.list_ports("br0")), ["tap0"])
    same(do(api.list_ifaces("br1")), ["tap1"])
    same(do(api.port_to_br("tap0")), "br0")
    same(do(api.iface_to_br("tap1")), "br1")
    fails(api.iface_to_br("tap7"), idlutils.RowNotFound)
    for port in ("tap0", "tap1"):
        assert value(api, "Interface", port, "ofport") > 0
        same(value(api, "Interface", port, "error"), [])
    same(value(api, "Interface", "tap1", "mtu"), 1400)
    fails(api.del_port("tap0", bridge="br1", if_exists=False))
    do(api.del_port("tap0", bridge="br0"))
    do(api.del_port("tap0"))
    fails(api.del_port("tap0", if_exists=False))
    same(do(api.list_ports("br0")), [])
    # What can't be had is told in the row; the command doesn't fail, as with ovs-vsctl.
    do(api.add_port("br0", "ghost"))
    same(value(api, "Interface", "ghost", "ofport"), -1)
    assert value(api, "Interface", "ghost", "error")
    do(api.del_port("ghost"))
    # A patch port has a number before its peer is there.
    do(api.add_port("br0", "p0", type="patch", options={"peer": "nonexistent-peer"}))
    do(api.db_set("Interface", "p0", ("options", {"peer": "p1"})))
    do(api.add_port("br1", "p1", type="patch", options={"peer": "p0"}))
    for port in ("p0", "p1"):
        assert value(api, "Interface", port, "ofport") > 0, port


def values(api):
    """Every kind of column: string, optional, integer, boolean, set, map, reference, uuid."""
    do(api.add_br("br0"))
    do(api.add_port("br0", "tap0"))
    do(api.add_port("br0", "tap1"))
    do(api.db_set("Port", "tap0", ("tag", 7), ("trunks", [1, 2]), ("vlan_mode", "native-tagged")))
    same(value(api, "Port", "tap0", "tag"), 7)
    same(sorted(value(api, "Port", "tap0", "trunks")), [1, 2])
    do(api.db_add("Port", "tap0", "trunks", 9, 10))
    do(api.db_remove("Port", "tap0", "trunks", 1))
    same(sorted(value(api, "Port", "tap0", "trunks")), [2, 9, 10])
    do(api.db_clear("Port", "tap0", "tag"))
    same(value(api, "Port", "tap0", "tag"), [])
    # The library itself leaves out what the schema doesn't allow.
    do(api.db_set("Port", "tap0", ("tag", 4096), ("vlan_mode", "sideways")))
    same(value(api, "Port", "tap0", "tag"), [])
    same(value(api, "Port", "tap0", "vlan_mode"), "native-tagged")

    do(api.db_set("Interface", "tap0", ("external_ids", {"a": "b", "c": "d"})))
    do(api.db_add("Interface", "tap0", "external_ids", {"e": "f \"g\" \\ \u00e9\n"}))
    do(api.db_remove("Interface", "tap0", "external_ids", "c"))
    same(value(api, "Interface", "tap0", "external_ids"), {"a": "b", "e": "f \"g\" \\ \u00e9\n"})
    do(api.db_set("Interface", "tap0", external_ids={"a": "z"}))
    same(value(api, "Interface", "tap0", "external_ids")["a"], "z")
    do(api.db_clear("Interface", "tap0", "external_ids"))
    same(value(api, "Interface", "tap0", "external_ids"), {})
    do(api.db_set("Bridge", "br0", ("stp_enable", True), ("mcast_snooping_enable", True)))
    same(value(api, "Bridge", "br0", "stp_enable"), True)
    do(api.db_set("Bridge", "br0", ("stp_enable", False), ("mcast_snooping_enable", False)))
    do(api.db_set("Bridge", "br0", ("protocols", ["OpenFlow10", "OpenFlow13"])))
    same(sorted(value(api, "Bridge", "br0", "protocols")), ["OpenFlow10", "OpenFlow13"])
    do(api.db_set("Interface", "tap0", ("ingress_policing_rate", 6400)))
    same(value(api, "Interface", "tap0", "ingress_policing_rate"), 6400)

    row = value(api, "Port", "tap0", "_uuid")
    assert isinstance(row, uuid.UUID)
    same(value(api, "Port", str(row), "name"), "tap0")
    same(len(value(api, "Bridge", "br0", "ports")), 3)
    listed = do(api.db_list("Port", ["tap0", "tap1"], columns=["name", "trunks"]))
    same(sorted(found["name"] for found in listed), ["tap0", "tap1"])
    same(len(do(api.db_list("Interface"))), 3)
    fails(api.db_list("Port", ["tap7"]), idlutils.RowNotFound)
    same(do(api.db_list("Port", ["tap7"], if_exists=True)), [])
    same(len(do(api.db_list_rows("Port"))), 3)

    def names(*conditions):
        found = do(api.db_find("Port", *conditions, columns=["name"]))
        return sorted(row["name"] for row in found)

    do(api.db_set("Port", "tap0", ("other_config", {"net": "x", "tag": "1"})))
    same(names(("name", "=", "tap0")), ["tap0"])
    same(names(("name", "!=", "tap0")), ["br0", "tap1"])
    same(names(("trunks", "=", [2])), ["tap0"])
    same(names(("other_config", "=", {"net": "x", "tag": "1"})), ["tap0"])
    same(names(("tag", "=", [])), ["br0", "tap0", "tap1"])
    same([found.name for found in do(api.db_find_rows("Port", ("name", "=", "tap1")))], ["tap1"])
    same(do(api.db_find("Queue")), [])


def free_rows(api):
    """Rows made and destroyed by themselves, and QoS as Neutron makes it."""
    do(api.add_br("br0"))
    do(api.add_port("br0", "tap0"))
    mine = {"owner": "me"}
    queue_row = do(api.db_create("Queue", external_ids=mine, other_config={"max-rate": "1000"}))
    do(api.db_create("QoS", type="linux-htb", external_ids=mine))
    qos = do(api.db_find("QoS", ("external_ids", "=", mine), columns=["_uuid", "type"]))
    same([found["type"] for found in qos], ["linux-htb"])
    qos = qos[0]["_uuid"]
    do(api.db_set("QoS", qos, ("queues", {0: queue_row})))
    same(list(value(api, "QoS", qos, "queues")), [0])
    do(api.db_set("Port", "tap0", ("qos", qos)))
    same(value(api, "Port", "tap0", "qos"), qos)
    do(api.db_set("Queue", queue_row, ("other_config", {"max-rate": "2000"}), ("dscp", 10)))
    same(value(api, "Queue", queue_row, "other_config"), {"max-rate": "2000"})
    # What is referred to can't go.
    message = fails(api.db_destroy("Queue", queue_row))
    assert "referential integrity violation" in message, message
    with api.transaction(check_error=True) as txn:
        txn.add(api.db_clear("Port", "tap0", "qos"))
        txn.add(api.db_destroy("QoS", qos))
        txn.add(api.db_destroy("Queue", queue_row))
    same(do(api.db_list("QoS")) + do(api.db_list("Queue")), [])
    # The same in one transaction, with rows that refer to rows that are not there yet.
    with api.transaction(check_error=True) as txn:
        first = txn.add(api.db_create("Queue", other_config={"min-rate": "1"}))
        second = txn.add(api.db_create("QoS", type="linux-htb", queues={1: first}))
        txn.add(api.db_set("Port", "tap0", ("qos", second)))
    queues = value(api, "QoS", value(api, "Port", "tap0", "qos"), "queues")
    same(len(queues), 1)


def external_ids(api):
    do(api.add_br("br0"))
    do(api.add_port("br0", "tap0"))
    do(api.br_set_external_id("br0", "bridge-id", "br0"))
    do(api.br_set_external_id("br0", "x", "1"))
    same(do(api.br_get_external_id("br0", "bridge-id")), "br0")
    fails(api.br_get_external_id("br0", "none"))
    do(api.iface_set_external_id("tap0", "iface-id", "42"))
    same(do(api.iface_get_external_id("tap0", "iface-id")), "42")
    same(value(api, "Bridge", "br0", "external_ids"), {"bridge-id": "br0", "x": "1"})


def controllers(api):
    do(api.add_br("br0"))
    targets = ["tcp:127.0.0.1:6633", "unix:/nonexistent"]
    do(api.set_controller("br0", targets))
    same(sorted(do(api.get_controller("br0"))), targets)
    do(api.set_controller("br0", targets[:1]))
    same(do(api.get_controller("br0")), targets[:1])
    do(api.del_controller("br0"))
    same(do(api.get_controller("br0")), [])
    same(do(api.db_list("Controller")), [])
    do(api.set_fail_mode("br0", "secure"))
    same(value(api, "Bridge", "br0", "fail_mode"), "secure")
    do(api.set_fail_mode("br0", "standalone"))
    same(value(api, "Bridge", "br0", "fail_mode"), "standalone")
    # Neutron asks for a listener of its own in this way.
    do(api.add_manager("ptcp:6655:127.0.0.1"))
    same(do(api.get_manager()), ["ptcp:6655:127.0.0.1"])
    do(api.remove_manager("ptcp:6655:127.0.0.1"))
    same(do(api.get_manager()), [])
    fails(api.remove_manager("ptcp:6655:127.0.0.1"))


def errors(api):
    """A transaction is done as a whole or not at all, and says why not."""
    do(api.add_br("br0"))
    queue_row = do(api.db_create("Queue"))
    do(api.db_create("QoS", type="linux-htb", queues={0: queue_row}))
    for check in (True, False):
        txn = api.create_transaction(check_error=check, log_errors=False)
        txn.add(api.add_br("br1"))
        txn.add(api.db_destroy("Queue", queue_row))
        try:
            same(txn.commit(), None)
            assert not check, "a queue in use is gone"
        except RuntimeError as error:
            assert check and "referential integrity violation" in str(error), error
    same(do(api.list_br()), ["br0"])
    same(len(do(api.db_list("Queue"))), 1)
    # Past the checks of the client: the server's own.
    rules = [
        ("constraint violation", [{"op": "update", "table": "Bridge", "where": [],
                                   "row": {"fail_mode": "nonsense"}}]),
        ("constraint violation", [{"op": "insert", "table": "Bridge", "uuid-name": "b",
                                   "row": {"name": "br0"}},
                                  {"op": "mutate", "table": "Open_vSwitch", "where": [],
                                   "mutations": [["bridges", "insert", ["named-uuid", "b"]]]}]),
        ("referential integrity violation",
         [{"op": "update", "table": "Bridge", "where": [],
           "row": {"ports": ["uuid", str(uuid.uuid4())]}}]),
    ]
    for wanted, operations in rules:
        found = [reply.get("error") for reply in raw(REMOTE, operations) if reply]
        assert wanted in found, "%s: %s" % (wanted, found)
    same(value(api, "Bridge", "br0", "fail_mode"), [])
    assert value(api, "Bridge", "br0", "ports"), "the bridge lost its port"


def raw(remote, operations):
    """A transaction without the IDL."""
    from ovs import jsonrpc, stream
    error, opened = stream.Stream.open_block(stream.Stream.open(remote))
    assert not error, error
    rpc = jsonrpc.Connection(opened)
    message = jsonrpc.Message.create_request("transact", ["Open_vSwitch"] + operations)
    error, reply = rpc.transact_block(message)
    rpc.close()
    assert not error and not reply.error, (error, reply)
    return reply.result


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
    other = connect(REMOTE)
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
    rounds, clients = 15, [connect(REMOTE) for _ in range(4)]
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
    count, clients = 200, [api] + [connect(REMOTE) for _ in range(3)]
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
    first = connect(REMOTE, lock="role")
    eventually("the first has it", lambda: first.idl.has_lock)
    do(first.add_br("br0"))
    second = connect(REMOTE, lock="role")
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


CASES = [bridges, ports, values, free_rows, external_ids, controllers, errors, waits, events,
         concurrent, crowd, clean_up, os_vif, locks, restarts]

if __name__ == "__main__":
    name, REMOTE = sys.argv[1:3]
    {case.__name__: case for case in CASES}[name](connect(REMOTE))
