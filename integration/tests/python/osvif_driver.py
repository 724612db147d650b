"""os-vif under remote control: plugs and unplugs what lines of JSON on standard input ask for.

A request has "do" (plug or unplug), the class of the VIF, its fields, those of its port profile,
the bridge and the MTU of its network, and options of the plugin. The answer says how many
milliseconds the call took, or what it failed with.
"""
import json
import sys
import time
import traceback

import os_vif
from os_vif import objects
from oslo_config import cfg
from vif_plug_ovs import linux_net, privsep

INSTANCE = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
GROUP = "os_vif_ovs"


def vif(request):
    profile = objects.vif.VIFPortProfileOpenVSwitch(interface_id=request["id"],
                                                    **request["profile"])
    network = objects.network.Network(id=request["id"], bridge=request["bridge"],
                                      mtu=request["mtu"],
                                      subnets=objects.subnet.SubnetList(objects=[]))
    kind = getattr(objects.vif, request["class"])
    return kind(id=request["id"], address=request["mac"], network=network, plugin="ovs",
                port_profile=profile, **request["vif"])


def stand_in(representor):
    """Finds a device in the place of the representor of a NIC that this machine doesn't have."""
    linux_net.get_vf_num_by_pci_address = lambda address: "3"
    linux_net.get_ifname_by_pci_address = lambda address, **which: "pf0"
    linux_net.get_pf_pci_from_vf = lambda address: "0000:03:00.0"
    linux_net.get_representor_port = lambda physical, number: representor


def serve(request):
    for name in ("isolate_vif", "per_port_bridge"):
        cfg.CONF.set_override(name, name in request["options"], group=GROUP)
    stand_in(request.get("representor"))
    instance = objects.instance_info.InstanceInfo(uuid=INSTANCE, name="vm")
    call = {"plug": os_vif.plug, "unplug": os_vif.unplug}[request["do"]]
    wanted = vif(request)
    start = time.monotonic()
    call(wanted, instance)
    return {"ms": (time.monotonic() - start) * 1000}


def main():
    privsep.vif_plug.set_client_mode(False)
    os_vif.initialize()
    for line in sys.stdin:
        try:
            answer = serve(json.loads(line))
        except Exception as error:
            traceback.print_exc()
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
