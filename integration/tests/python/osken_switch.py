"""A learning switch on os-ken: OSKEN_SWITCH VERSION PORT.

Packets that no flow matches come to it; it learns where their senders are, adds a flow for
each pair of stations that it knows, and sends the packet on itself.
"""
import sys

from os_ken import cfg
from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib import hub
from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import ofproto_v1_3, ofproto_v1_5

VERSIONS = {"1.3": ofproto_v1_3, "1.5": ofproto_v1_5}


class LearningSwitch(app_manager.OSKenApp):
    OFP_VERSIONS = [VERSIONS[sys.argv[1]].OFP_VERSION]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stations = {}

    def add(self, datapath, priority, match, actions):
        ofp, parser = datapath.ofproto, datapath.ofproto_parser
        apply = parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)
        datapath.send_msg(parser.OFPFlowMod(
            datapath=datapath, priority=priority, match=match, instructions=[apply]))

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def connected(self, event):
        datapath = event.msg.datapath
        ofp, parser = datapath.ofproto, datapath.ofproto_parser
        out = parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)
        self.add(datapath, 0, parser.OFPMatch(), [out])
        print("connected", format(datapath.id, "016x"), flush=True)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def arrived(self, event):
        message = event.msg
        datapath = message.datapath
        ofp, parser = datapath.ofproto, datapath.ofproto_parser
        in_port = message.match["in_port"]
        ether = packet.Packet(message.data).get_protocol(ethernet.ethernet)
        known = self.stations.setdefault(datapath.id, {})
        known[ether.src] = in_port
        port = known.get(ether.dst, ofp.OFPP_FLOOD)
        actions = [parser.OFPActionOutput(port)]
        if port != ofp.OFPP_FLOOD:
            match = parser.OFPMatch(in_port=in_port, eth_dst=ether.dst, eth_src=ether.src)
            self.add(datapath, 1, match, actions)
        if datapath.ofproto.OFP_VERSION == ofproto_v1_5.OFP_VERSION:
            send = parser.OFPPacketOut(
                datapath=datapath, buffer_id=message.buffer_id,
                match=parser.OFPMatch(in_port=in_port), actions=actions, data=message.data)
        else:
            send = parser.OFPPacketOut(
                datapath=datapath, buffer_id=message.buffer_id, in_port=in_port,
                actions=actions, data=message.data)
        datapath.send_msg(send)


def main():
    cfg.CONF([], project="os_ken", default_config_files=[])
    cfg.CONF.set_override("ofp_tcp_listen_port", int(sys.argv[2]))
    cfg.CONF.set_override("ofp_listen_host", "127.0.0.1")
    manager = app_manager.AppManager.get_instance()
    manager.load_apps(["os_ken.controller.ofp_handler"])
    manager.applications_cls["LearningSwitch"] = LearningSwitch
    contexts = manager.create_contexts()
    services = manager.instantiate_apps(**contexts)
    hub.joinall(services)


main()
