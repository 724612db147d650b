"""The Python IDL of Open vSwitch against a running switch, one function for each test.

Arguments: the case, the database's remote, a file with its schema, then the case's own. What a
case prints is its report; an exception is its failure.
"""
import sys
import time

import ovs.poller
from ovs.db import idl

LIMIT_S = 20
SUCCESS, UNCHANGED = idl.Transaction.SUCCESS, idl.Transaction.UNCHANGED
TRY_AGAIN, NOT_LOCKED = idl.Transaction.TRY_AGAIN, idl.Transaction.NOT_LOCKED


class Database(idl.Idl):
    """A client that remembers what it was told."""

    def __init__(self, tables=None):
        helper = idl.SchemaHelper(location=SCHEMA)
        if tables:
            for table, columns in tables.items():
                helper.register_columns(table, columns)
        else:
            helper.register_all()
        self.told = []
        super().__init__(REMOTE, helper)

    def notify(self, event, row, updates=None):
        self.told.append((event, row._table.name, getattr(row, "name", None)))

    def until(self, what, condition):
        end = time.monotonic() + LIMIT_S
        while not condition():
            self.run()
            if condition():
                return
            assert time.monotonic() < end, "not in time: " + what
            poller = ovs.poller.Poller()
            self.wait(poller)
            poller.timer_wait(100)
            poller.block()

    def all(self, table):
        return list(self.tables[table].rows.values())

    def the(self, table, name):
        return next((row for row in self.all(table) if row.name == name), None)

    def root(self):
        return self.all("Open_vSwitch")[0]

    def names(self, table):
        return sorted(row.name for row in self.all(table))

    def has(self, table, name):
        self.until("%s %s" % (table, name), lambda: self.the(table, name) is not None)
        return self.the(table, name)

    def transact(self, change):
        """The status of a transaction, and the transaction."""
        txn = idl.Transaction(self)
        change(txn)
        return txn.commit_block(), txn

    def commit(self, change):
        """A transaction that must succeed, and be done by the switch."""
        def with_number(txn):
            change(txn)
            self.root().increment("next_cfg")
        status, txn = self.transact(with_number)
        assert status == SUCCESS, (status, txn.get_error())
        target = txn.get_increment_new_value()
        self.until("cur_cfg", lambda: self.root().cur_cfg >= target)
        return txn


def connected(tables=None):
    database = Database(tables)
    database.until("the first contents", database.has_ever_connected)
    database.until("the root", lambda: database.all("Open_vSwitch"))
    return database


def same(found, wanted):
    assert found == wanted, "%r is not %r" % (found, wanted)


def add_port(database, bridge, name):
    def change(txn):
        interface = txn.insert(database.tables["Interface"])
        interface.name = name
        interface.external_ids = {"iface-id": "one", "vm-uuid": "two"}
        port = txn.insert(database.tables["Port"])
        port.name = name
        port.interfaces = [interface]
        port.tag = [42]
        bridge.addvalue("ports", port)
    return change


def a_port(device):
    """A port as os-vif adds and removes it."""
    database = connected()
    bridge = database.has("Bridge", "br0")
    database.commit(add_port(database, bridge, device))
    row = database.the("Interface", device)
    same((row.error, row.external_ids["iface-id"]), ([], "one"))
    assert row.ofport[0] > 0
    assert ("create", "Interface", device) in database.told, database.told
    database.commit(lambda txn: bridge.delvalue("ports", database.the("Port", device)))
    same(database.names("Interface"), ["br0"])
    assert ("delete", "Interface", device) in database.told, database.told


def conditions():
    """A client that wants some rows only, and then others."""
    writer, reader = connected(), Database()
    reader.cond_change("Bridge", [])
    reader.cond_change("Port", [["name", "==", "br1"]])
    reader.until("the first contents", lambda: reader.all("Open_vSwitch"))
    same((reader.names("Bridge"), reader.names("Port")), ([], []))

    def bridge(name):
        def change(txn):
            interface = txn.insert(writer.tables["Interface"])
            interface.name, interface.type = name, "internal"
            port = txn.insert(writer.tables["Port"])
            port.name, port.interfaces = name, [interface]
            row = txn.insert(writer.tables["Bridge"])
            row.name, row.ports = name, [port]
            writer.root().addvalue("bridges", row)
        return change

    writer.commit(bridge("br1"))
    reader.has("Port", "br1")
    reader.until("its interface", lambda: "br1" in reader.names("Interface"))
    same((reader.names("Bridge"), reader.names("Port")), ([], ["br1"]))

    def change_to(table, condition):
        reader.cond_change(table, condition)
        state = reader.tables[table].condition_state
        reader.until("the condition", lambda: state.acked == (condition or [False]))

    change_to("Bridge", [True])
    same(reader.names("Bridge"), ["br0", "br1"])
    change_to("Bridge", [["name", "!=", "br0"]])
    same(reader.names("Bridge"), ["br1"])
    change_to("Port", [["name", "==", "br0"], ["tag", "==", 7]])
    same(reader.names("Port"), ["br0"])
    # Rows come and go as they begin and cease to match.
    port = writer.the("Port", "br1")
    writer.commit(lambda txn: setattr(port, "tag", 7))
    reader.has("Port", "br1")
    writer.commit(lambda txn: setattr(port, "tag", []))
    reader.until("it matches no longer", lambda: reader.names("Port") == ["br0"])
    change_to("Port", [])
    same(reader.names("Port"), [])


def locks():
    """Only the owner of a lock may write; the next one gets it when the owner goes."""
    first, second = connected(), connected()
    first.set_lock("role")
    first.until("the first has it", lambda: first.has_lock)
    second.set_lock("role")
    second.until("the second waits", lambda: second.is_lock_contended)

    def note(database, value):
        return lambda txn: database.root().setkey("external_ids", "owner", value)

    same(first.transact(note(first, "first"))[0], SUCCESS)
    same(second.transact(note(second, "second"))[0], NOT_LOCKED)
    # The server checks, too: this client believes that it has the lock.
    second.has_lock = True
    status, _ = second.transact(note(second, "second"))
    same(status, NOT_LOCKED)
    second.has_lock = False
    first.set_lock(None)
    second.until("the second has it", lambda: second.has_lock)
    same(second.transact(note(second, "second"))[0], SUCCESS)
    first.until("the first sees it",
                lambda: first.root().external_ids.get("owner") == "second")
    first.set_lock("role")
    first.until("the first waits", lambda: first.is_lock_contended)
    second.close()
    first.until("the first has it again", lambda: first.has_lock)


def verified():
    """What was read before a transaction must still be so when it is done."""
    first, second = connected(), connected()

    def shout(database):
        def change(txn):
            root = database.root()
            root.verify("external_ids")
            ids = dict(root.external_ids)
            ids["count"] = str(int(ids.get("count", "0")) + 1)
            root.external_ids = ids
        return change

    same(first.transact(shout(first))[0], SUCCESS)
    # The second has not looked since.
    same(second.transact(shout(second))[0], TRY_AGAIN)
    second.until("it has looked", lambda: "count" in second.root().external_ids)
    same(second.transact(shout(second))[0], SUCCESS)
    first.until("both counted", lambda: first.root().external_ids["count"] == "2")
    # A row that has gone meanwhile, too.
    made = first.transact(lambda txn: setattr(
        txn.insert(first.tables["Queue"]), "external_ids", {"mine": "x"}))
    same(made[0], SUCCESS)
    first.until("the row", lambda: first.all("Queue"))
    second.until("the row", lambda: second.all("Queue"))
    stale = second.all("Queue")[0]
    same(first.transact(lambda txn: first.all("Queue")[0].delete())[0], SUCCESS)

    def touch(txn):
        stale.verify("external_ids")
        stale.external_ids = {}
    same(second.transact(touch)[0], TRY_AGAIN)


def counted():
    """Clients that count up the same number at the same time."""
    clients = [connected() for _ in range(4)]
    start, rounds, seen = clients[0].root().next_cfg, 25, []
    for _ in range(rounds):
        running = []
        for database in clients:
            txn = idl.Transaction(database)
            # The library counts only with a change.
            database.root().setkey("external_ids", "turn", str(len(seen) + len(running)))
            database.root().increment("next_cfg")
            running.append((database, txn, txn.commit()))
        for database, txn, status in running:
            if status == idl.Transaction.INCOMPLETE:
                status = txn.commit_block()
            same(status, SUCCESS)
            seen.append(txn.get_increment_new_value())
    same(sorted(seen), list(range(start + 1, start + 1 + rounds * len(clients))))
    clients[0].until("it is done", lambda: clients[0].root().cur_cfg >= max(seen))


def mutated():
    """Changes of a part of a value don't disturb each other, however old the clients' view."""
    first, second = connected(), connected()
    for key in ("a", "b", "c"):
        for who, database in (("first", first), ("second", second)):
            change = lambda txn: database.root().setkey("other_config", who + key, key)
            same(database.transact(change)[0], SUCCESS)
    wanted = {who + key: key for who in ("first", "second") for key in ("a", "b", "c")}
    first.until("all keys", lambda: first.root().other_config == wanted)
    same(second.transact(lambda txn: second.root().delkey("other_config", "firsta"))[0], SUCCESS)
    # Only a pair with this value would go.
    same(second.transact(lambda txn: second.root().delkey("other_config", "firstb", "z"))[0],
         UNCHANGED)
    del wanted["firsta"]
    first.until("one key less", lambda: first.root().other_config == wanted)
    bridge = first.has("Bridge", "br0")
    first.commit(lambda txn: bridge.addvalue("protocols", "OpenFlow13"))
    other = second.has("Bridge", "br0")
    second.commit(lambda txn: other.addvalue("protocols", "OpenFlow10"))
    first.until("both", lambda: sorted(bridge.protocols) == ["OpenFlow10", "OpenFlow13"])
    first.commit(lambda txn: bridge.delvalue("protocols", "OpenFlow10"))
    second.until("one", lambda: other.protocols == ["OpenFlow13"])


def refused():
    """Transactions that fail, that change nothing, and that are given up."""
    database = connected()
    bridge = database.has("Bridge", "br0")

    def duplicate(txn):
        row = txn.insert(database.tables["Bridge"])
        row.name = "br0"
        database.root().addvalue("bridges", row)
    status, txn = database.transact(duplicate)
    same(status, idl.Transaction.ERROR)
    assert "constraint violation" in txn.get_error(), txn.get_error()
    same(database.transact(lambda txn: None)[0], UNCHANGED)
    same(database.transact(lambda txn: setattr(bridge, "name", "br0"))[0], UNCHANGED)
    txn = idl.Transaction(database)
    bridge.external_ids = {"lost": "x"}
    same(bridge.external_ids, {"lost": "x"})
    txn.abort()
    same(bridge.external_ids, {})
    status, txn = database.transact(lambda txn: txn.add_comment("nothing but a word"))
    same(status, UNCHANGED)

    def created(txn):
        row = txn.insert(database.tables["Queue"])
        row.dscp = 7
        created.uuid = row.uuid
    status, txn = database.transact(created)
    same(status, SUCCESS)
    real = txn.get_insert_uuid(created.uuid)
    database.until("the row", lambda: database.all("Queue"))
    same(database.tables["Queue"].rows[real].dscp, [7])


def of_some_columns():
    """A client that registers a few columns gets these alone, and changes of no other."""
    columns = {"Open_vSwitch": ["external_ids", "cur_cfg"], "Queue": ["dscp"]}
    reader, writer = connected(columns), connected()
    same(sorted(reader.tables), ["Open_vSwitch", "Queue"])
    status, _ = writer.transact(lambda txn: setattr(txn.insert(writer.tables["Queue"]), "dscp", 3))
    same(status, SUCCESS)
    reader.until("the row", lambda: [row.dscp for row in reader.all("Queue")] == [[3]])
    reader.told.clear()
    writer.until("the row", lambda: writer.all("Queue"))
    row = writer.all("Queue")[0]
    same(writer.transact(lambda txn: setattr(row, "other_config", {"a": "b"}))[0], SUCCESS)
    same(writer.transact(lambda txn: setattr(row, "dscp", 4))[0], SUCCESS)
    reader.until("the change", lambda: [row.dscp for row in reader.all("Queue")] == [[4]])
    same(reader.told, [("update", "Queue", None)])


def ask_for(what):
    """Has the test do something to the switch."""
    print(what, flush=True)
    same(sys.stdin.readline(), "done\n")


def restarts():
    """The switch ends and comes back: whoever is connected finds back, to the same contents."""
    database, owner = connected(), connected()
    owner.set_lock("role")
    owner.until("the lock", lambda: owner.has_lock)
    bridge = database.has("Bridge", "br0")
    database.commit(add_port(database, bridge, "tap0"))
    number = database.the("Interface", "tap0").ofport
    database.cond_change("Queue", [["dscp", "==", 7]])
    for how in ("restart", "kill"):
        session = database._session.get_seqno()
        ask_for(how)
        database.until("it is connected again", lambda: database._session.is_connected()
                       and database._session.get_seqno() != session)
        database.until("it has the contents", lambda: database.the("Bridge", "br0")
                       and database.state == database.IDL_S_MONITORING)
        same(database.the("Interface", "tap0").ofport, number)
        bridge = database.the("Bridge", "br0")
        database.commit(lambda txn: bridge.setkey("external_ids", how, "x"))
        owner.until("the lock again", lambda: owner.has_lock
                    and how in owner.the("Bridge", "br0").external_ids)
        for dscp in (7, 8):
            made = owner.transact(lambda txn: setattr(
                txn.insert(owner.tables["Queue"]), "dscp", dscp))
            same(made[0], SUCCESS)
        database.until("its condition holds", lambda: database.all("Queue"))
        same({tuple(row.dscp) for row in database.all("Queue")}, {(7,)})


def converted():
    """A new schema: clients that know what that is stay connected, and ask again."""
    database = connected()
    database.has("Bridge", "br0")
    session = database._session.get_seqno()
    database.told.clear()
    ask_for("convert")
    database.until("rows are told again", lambda: ("create", "Bridge", "br0") in database.told)
    database.commit(lambda txn: database.root().setkey("external_ids", "after", "x"))
    same(database._session.get_seqno(), session)


CASES = [a_port, conditions, locks, verified, counted, mutated, refused, of_some_columns, restarts,
         converted]

if __name__ == "__main__":
    name, REMOTE, SCHEMA = sys.argv[1:4]
    {case.__name__: case for case in CASES}[name](*sys.argv[4:])
