//! Groups, choices and meters of pipelines in the kernel, against the interpreter. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bare;
mod lab;
mod rig;

use rig::{Rig, udp};

#[test]
fn buckets_have_packets_of_their_own() {
    let mut rig = Rig::new(
        "ga",
        "group_id=1,type=all,bucket=output:2,bucket=set_field:10.7.7.7->ip_dst,output:3,bucket=output:4
         group_id=2,type=all,bucket=set_field:1->reg0,resubmit(,1),bucket=resubmit(,1)
         group_id=3,type=indirect,bucket=dec_ttl,push_vlan:0x8100,set_field:4100->vlan_vid,output:2
         group_id=4,type=all,bucket=resubmit(,2),bucket=output:4
         group_id=5,type=all,bucket=group:1,bucket=set_field:9->udp_dst,group:3
         group_id=6,type=all,bucket=set_field:3->reg1,resubmit(,3),bucket=resubmit(,3)
         table=0,udp,tp_dst=1 actions=group:1
         table=0,udp,tp_dst=2 actions=set_field:5->reg1,group:2,resubmit(,1)
         table=0,udp,tp_dst=3 actions=group:3,output:3
         table=0,udp,tp_dst=4 actions=group:4,output:3
         table=0,udp,tp_dst=5 actions=group:5,output:4
         table=0,udp,tp_dst=6 actions=write_actions(group:1,output:4),goto_table:3
         table=0,udp,tp_dst=7 actions=clone(set_field:10.6.6.6->ip_src,group:1),output:4
         table=0,udp,tp_dst=8 actions=group:6,output:4
         table=1,reg0=1 actions=output:3
         table=1,reg0=0 actions=output:2
         table=2 actions=output:2,exit,output:3
         table=3,reg1=3 actions=output:2,write_actions(output:3)
         table=3,udp,reg1=0 actions=output:3",
    );
    for port in 1..=9 {
        rig.check(&udp(1000, port));
    }
}

#[test]
fn hashes_select_as_in_the_interpreter() {
    let mut rig = Rig::new(
        "gs",
        "group_id=1,type=select,bucket=weight:1,output:2,bucket=weight:3,output:3,bucket=weight:0,output:4
         group_id=2,type=select,selection_method=hash,fields(ip_src,udp_src),\
            bucket=watch_port:2,output:2,bucket=watch_port:9,output:3,bucket=watch_port:4,output:4
         group_id=3,type=select,selection_method=dp_hash,bucket=output:2,bucket=output:3,bucket=output:4
         table=0,udp,tp_dst=1 actions=group:1
         table=0,udp,tp_dst=2 actions=group:2
         table=0,udp,tp_dst=3 actions=group:3
         table=0,udp,tp_dst=4 actions=set_field:10.9.9.9->ip_src,group:2",
    );
    for source in 0..24 {
        for port in 1..=4 {
            rig.check(&udp(1000 + source, port));
        }
    }
}

#[test]
fn the_first_live_bucket_is_done() {
    let mut rig = Rig::new(
        "gf",
        "group_id=1,type=ff,bucket=watch_port:9,output:2,bucket=watch_port:3,output:3
         group_id=2,type=ff,bucket=watch_port:9,output:2
         group_id=3,type=ff,bucket=watch_group:2,output:2,bucket=watch_group:1,output:4
         table=0,udp,tp_dst=1 actions=group:1
         table=0,udp,tp_dst=2 actions=group:2
         table=0,udp,tp_dst=3 actions=group:3
         table=0,udp,tp_dst=4 actions=group:2,output:4",
    );
    for port in 1..=4 {
        rig.check(&udp(1000, port));
    }
}

#[test]
fn links_and_ports_are_chosen() {
    let mut rig = Rig::new(
        "gm",
        "table=0,udp,tp_dst=1 actions=multipath(symmetric_l4,50,modulo_n,3,0,NXM_NX_REG0[0..7]),resubmit(,1)
         table=0,udp,tp_dst=2 actions=multipath(nw_src,1,hash_threshold,3,0,NXM_NX_REG0[0..7]),resubmit(,1)
         table=0,udp,tp_dst=3 actions=multipath(symmetric_l3l4+udp,1,hrw,3,0,NXM_NX_REG0[0..7]),resubmit(,1)
         table=0,udp,tp_dst=4 actions=bundle(symmetric_l3l4+udp,7,hrw,ofport,members:2,9,3,4)
         table=0,udp,tp_dst=5 actions=bundle(eth_src,0,active_backup,ofport,members:9,3,4)
         table=0,udp,tp_dst=6 actions=bundle_load(eth_src,0,active_backup,ofport,NXM_NX_REG1[],members:9,4),output:NXM_NX_REG1[]
         table=0,udp,tp_dst=7 actions=bundle(eth_src,0,active_backup,ofport,members:9,8)
         table=1,reg0=0 actions=output:2
         table=1,reg0=1 actions=output:3
         table=1,reg0=2 actions=output:4",
    );
    for source in 0..12 {
        for port in 1..=7 {
            rig.check(&udp(1000 + source, port));
        }
    }
}

#[test]
fn meters_drop_and_remark() {
    // Slow enough that nothing drains while this runs.
    let mut rig = Rig::new(
        "gx",
        "meter=1,kbps,burst,band=type=drop,rate=1,burst_size=1
         meter=2,pktps,band=type=drop,rate=0
         meter=3,kbps,burst,band=type=dscp_remark,prec_level=1,rate=1,burst_size=1
         group_id=1,type=all,bucket=meter:2,output:2,bucket=output:3
         table=0,udp,tp_dst=1 actions=meter:1,output:2
         table=0,udp,tp_dst=2 actions=output:3,meter:2,output:2
         table=0,udp,tp_dst=3 actions=set_field:10->ip_dscp,meter:3,output:2
         table=0,udp,tp_dst=4 actions=clone(meter:2,output:2),output:4
         table=0,udp,tp_dst=5 actions=group:1",
    );
    for _ in 0..4 {
        for port in 1..=5 {
            rig.check(&udp(1000, port));
        }
    }
}

#[test]
fn copies_for_controllers_leave_the_rest_as_it_is() {
    let mut rig = Rig::new(
        "gc",
        "meter=controller,pktps,band=type=drop,rate=0
         table=0,udp,tp_dst=1 actions=controller,output:2
         table=0,udp,tp_dst=2 actions=set_field:10.9.8.7->ip_dst,controller(max_len=20),\
            set_field:10.9.8.6->ip_dst,output:2
         table=0,udp,tp_dst=3 actions=controller
         table=0,udp,tp_dst=4 actions=set_field:1->nw_ttl,dec_ttl,output:2
         table=0,udp,tp_dst=5 actions=output:3,controller(pause),output:2"
            .split_once('\n')
            .unwrap()
            .1,
    );
    for port in 1..=5 {
        rig.check(&udp(1000, port));
    }
    let mut metered = Rig::new(
        "gd",
        "meter=controller,pktps,band=type=drop,rate=0
         table=0,udp,tp_dst=1 actions=controller,output:2
         table=0,udp,tp_dst=2 actions=controller
         table=0,udp,tp_dst=3 actions=controller(pause),output:2",
    );
    for port in 1..=3 {
        metered.check(&udp(1000, port));
    }
}

#[test]
fn a_packet_is_as_long_as_its_tags_make_it() {
    let mut rig = Rig::new(
        "gl",
        "table=0,udp,tp_dst=1 actions=check_pkt_larger(59)->NXM_NX_REG0[0],resubmit(,1)
         table=0,udp,tp_dst=2 actions=check_pkt_larger(60)->NXM_NX_REG0[0],resubmit(,1)
         table=0,udp,tp_dst=3 actions=mod_vlan_vid:5,check_pkt_larger(63)->NXM_NX_REG0[0],resubmit(,1)
         table=0,udp,tp_dst=4 actions=mod_vlan_vid:5,check_pkt_larger(64)->NXM_NX_REG0[0],resubmit(,1)
         table=0,udp,tp_dst=5 actions=mod_vlan_vid:5,load:0->NXM_OF_VLAN_TCI[],\
            check_pkt_larger(60)->NXM_NX_REG0[0],resubmit(,1)
         table=0,udp,tp_dst=6 actions=push_vlan:0x8100,push_vlan:0x88a8,pop_vlan,\
            check_pkt_larger(63)->NXM_NX_REG0[0],pop_vlan,resubmit(,1)
         table=1,reg0=1 actions=output:2,strip_vlan,output:4
         table=1,reg0=0 actions=output:3,strip_vlan,output:4",
    );
    for port in 1..=6 {
        rig.check(&udp(1000, port));
    }
}
