"""The Open_vSwitch API of ovsdbapp against a running switch: rows and columns.

What a case prints is its report; an exception is its failure.
"""
import uuid

from ovsdbapp.backend.ovs_idl import idlutils

from ovsdbapp_api import do, fails, main, same, value


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
        found = [reply.get("error") for reply in raw(api.remote, operations) if reply]
        assert wanted in found, "%s: %s" % (wanted, found)
    same(value(api, "Bridge", "br0", "fail_mode"), [])
    assert value(api, "Bridge", "br0", "ports"), "the bridge lost its port"


if __name__ == "__main__":
    main([bridges, ports, values, free_rows, external_ids, controllers, errors])
