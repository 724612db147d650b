"""Two controllers of one switch, told apart by roles: OSKEN_ROLES VERSION PORT PORT.

The switch connects to both ports. What each controller is told is printed, one line for each message; a
line with `ready` comes when it may connect.
"""
import socket
import struct
import sys

from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import (
    ofproto_parser, ofproto_v1_3, ofproto_v1_3_parser, ofproto_v1_4, ofproto_v1_4_parser)

VERSIONS = {
    "1.3": (ofproto_v1_3, ofproto_v1_3_parser),
    "1.4": (ofproto_v1_4, ofproto_v1_4_parser),
}
NICIRA = 0x2320
SET_CONTROLLER_ID, SET_PACKET_IN_FORMAT, RESUME = 20, 16, 28
PACKET_IN2 = 30
FRAME = bytes.fromhex("ffffffffffff00000000000a88b5") + bytes(46)


class Controller:
    """A connection from the switch, as os-ken's parsers want it."""

    def __init__(self, name, port):
        self.name, self.id, self.xid = name, None, 0
        self.ofproto, self.ofproto_parser = VERSIONS[sys.argv[1]]
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(60)
        self.bytes = b""

    def accept(self):
        self.socket, _ = self.listener.accept()
        self.socket.settimeout(60)
        self.send(self.ofproto_parser.OFPHello(self))
        assert type(self.next()).__name__ == "OFPHello"

    def set_xid(self, message):
        self.xid += 1
        message.set_xid(self.xid)
        return self.xid

    def send(self, message):
        if message.xid is None:
            self.set_xid(message)
        message.serialize()
        self.socket.sendall(bytes(message.buf))

    def experimenter(self, subtype, data):
        self.send(self.ofproto_parser.OFPExperimenter(self, NICIRA, subtype, data))

    def next(self):
        while True:
            if len(self.bytes) >= 8:
                version, kind, length, xid = ofproto_parser.header(self.bytes)
                if len(self.bytes) >= length:
                    one, self.bytes = self.bytes[:length], self.bytes[length:]
                    message = ofproto_parser.msg(self, version, kind, length, xid, one)
                    if type(message).__name__ == "OFPEchoRequest":
                        self.send(self.ofproto_parser.OFPEchoReply(self, xid=xid, data=message.data))
                        continue
                    message.bytes = one
                    return message
            received = self.socket.recv(65536)
            assert received, self.name + ": the switch hung up"
            self.bytes += received

    def until_barrier(self):
        """What has come until a barrier is answered."""
        barrier = self.ofproto_parser.OFPBarrierRequest(self)
        self.send(barrier)
        messages = []
        while True:
            message = self.next()
            if type(message).__name__ == "OFPBarrierReply" and message.xid == barrier.xid:
                return messages
            messages.append(message)

    def describe(self, message):
        name = type(message).__name__
        if name == "OFPErrorMsg":
            return f"{name} type={message.type} code={message.code}"
        if name in ("OFPRoleReply", "OFPRoleStatus"):
            reason = f" reason={message.reason}" if name == "OFPRoleStatus" else ""
            return f"{name} role={message.role} generation={message.generation_id:#x}{reason}"
        if name == "OFPPacketIn":
            ether = packet.Packet(message.data).get_protocol(ethernet.ethernet)
            in_port = message.match["in_port"]
            return f"{name} reason={message.reason} in_port={in_port} src={ether.src}"
        if name == "OFPPortStatus":
            return f"{name} reason={message.reason} config={message.desc.config}"
        if name == "OFPFlowRemoved":
            return f"{name} reason={message.reason} cookie={message.cookie:#x}"
        if name == "OFPGetAsyncReply" and hasattr(message, "packet_in_mask"):
            masks = message.packet_in_mask, message.port_status_mask, message.flow_removed_mask
            return f"{name} {masks}"
        if name == "OFPGetAsyncReply":
            masks = sorted((each.type, each.mask) for each in message.properties)
            return f"{name} {masks}"
        if name.startswith("NXTPacketIn2") or getattr(message, "exp_type", None) == PACKET_IN2:
            return "NXT_PACKET_IN2"
        return name

    # What controllers ask for.

    def role(self, role, generation):
        ofp = self.ofproto
        number = getattr(ofp, "OFPCR_ROLE_" + role)
        self.send(self.ofproto_parser.OFPRoleRequest(self, number, generation))

    def flow(self, command, cookie=1, actions=(), **match):
        ofp, parser = self.ofproto, self.ofproto_parser
        apply = parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, list(actions))
        self.send(parser.OFPFlowMod(
            self, cookie=cookie, command=command, flags=ofp.OFPFF_SEND_FLOW_REM,
            out_port=ofp.OFPP_ANY, out_group=ofp.OFPG_ANY,
            match=parser.OFPMatch(**match), instructions=[apply]))

    def packet(self, actions, in_port=1):
        ofp, parser = self.ofproto, self.ofproto_parser
        self.send(parser.OFPPacketOut(
            self, buffer_id=ofp.OFP_NO_BUFFER, in_port=in_port, actions=actions, data=FRAME))

    def to_controller(self):
        return self.ofproto_parser.OFPActionOutput(self.ofproto.OFPP_CONTROLLER, 65535)

    def port_config(self, config):
        """Has port 1 be told of, with a setting that hinders nothing here."""
        ofp, parser = self.ofproto, self.ofproto_parser
        self.send(parser.OFPPortDescStatsRequest(self, 0))
        ports = next(m for m in iter(self.next, None)
                     if type(m).__name__ == "OFPPortDescStatsReply").body
        port = next(port for port in ports if port.port_no == 1)
        mask = ofp.OFPPC_NO_PACKET_IN
        arguments = {"port_no": 1, "hw_addr": port.hw_addr, "config": config and mask, "mask": mask}
        if sys.argv[1] == "1.3":
            self.send(parser.OFPPortMod(self, advertise=0, **arguments))
        else:
            self.send(parser.OFPPortMod(self, properties=[], **arguments))

    def async_config(self, **masks):
        """Which packets, ports and flows are told to (a master or an equal, a slave)."""
        ofp, parser = self.ofproto, self.ofproto_parser
        if sys.argv[1] == "1.3":
            self.send(parser.OFPSetAsync(
                self, masks["packet_in"], masks["port_status"], masks["flow_removed"]))
            return
        names = [f"OFPACPT_{name.upper()}_{role}" for name in masks for role in ("SLAVE", "MASTER")]
        values = [mask for name in masks for mask in reversed(masks[name])]
        properties = [
            parser.OFPAsyncConfigPropReasons(getattr(ofp, name), mask=mask)
            for name, mask in zip(names, values)]
        self.send(parser.OFPSetAsync(self, properties))


def both(what, one, two):
    """Prints what each is told. Open vSwitch tells one of what another did a moment after that."""
    told = ([], [])
    for _ in range(5):
        for controller, messages in zip((two, one), told):
            messages += controller.until_barrier()
    for controller, messages in zip((one, two), reversed(told)):
        for message in messages or [None]:
            line = "nothing" if message is None else controller.describe(message)
            print(what, controller.name, line, sep=": ", flush=True)
    return told[1], told[0]


def main():
    one, two = Controller("one", int(sys.argv[2])), Controller("two", int(sys.argv[3]))
    print("ready", flush=True)
    one.accept()
    two.accept()
    ofp, parser = one.ofproto, one.ofproto_parser
    two.flow(ofp.OFPFC_DELETE)
    both("begin", one, two)

    one.role("NOCHANGE", 0)
    both("role is asked", one, two)
    one.role("MASTER", 5)
    both("one is master of 5", one, two)
    two.role("MASTER", 4)
    both("two asks with 4", one, two)
    two.role("MASTER", 6)
    both("two is master of 6", one, two)

    # Its answer is waited for, and errors before it would be passed over.
    one.port_config(True)
    one.flow(ofp.OFPFC_ADD, cookie=7, in_port=1)
    one.packet([parser.OFPActionOutput(2)])
    both("a slave changes things", one, two)

    one.send(parser.OFPGetAsyncRequest(one))
    two.packet([two.to_controller()])
    both("a packet", one, two)
    two.port_config(True)
    both("a port", one, two)
    two.flow(ofp.OFPFC_ADD, cookie=9, in_port=1)
    two.flow(ofp.OFPFC_DELETE_STRICT, in_port=1)
    both("a flow", one, two)

    every = 0xffffffff if sys.argv[1] == "1.3" else 0x3f
    one.async_config(packet_in=(every, every), port_status=(7, 0), flow_removed=(15, 15))
    both("one asks for packets and flows", one, two)
    two.packet([two.to_controller()])
    both("a packet for a slave too", one, two)
    two.port_config(False)
    both("no port for a slave", one, two)
    two.flow(ofp.OFPFC_ADD, cookie=9, in_port=1)
    two.flow(ofp.OFPFC_DELETE_STRICT, in_port=1)
    both("a flow for a slave too", one, two)

    one.experimenter(SET_CONTROLLER_ID, struct.pack("!6xH", 7))
    both("an id", one, two)
    two.packet([parser.NXActionController(max_len=65535, controller_id=7, reason=1)])
    both("a packet for id 7", one, two)
    two.packet([two.to_controller()])
    both("a packet for id 0", one, two)

    two.experimenter(SET_PACKET_IN_FORMAT, struct.pack("!I", 2))
    pause = parser.NXActionController2(controller_id=0, reason=1, userdata=b"abcd", pause=True)
    table = parser.NXActionResubmitTable(in_port=0xfff8, table_id=0)
    two.flow(ofp.OFPFC_ADD, cookie=11, actions=[pause, two.to_controller()], in_port=1)
    two.packet([table])
    _, paused = both("a paused packet", one, two)
    # Its properties are those of the answer.
    two.experimenter(RESUME, paused[0].bytes[16:])
    both("it goes on", one, two)
    two.experimenter(RESUME, paused[0].bytes[16:32])
    both("half of it", one, two)
    one.role("EQUAL", 0)
    both("one is equal", one, two)
    one.flow(ofp.OFPFC_DELETE)
    both("an equal may change things", one, two)


main()
