//! Faults at each single step of a change.

use super::*;

#[tokio::test]
async fn killed_at_every_step_nothing_is_left_behind() {
    let mut kills = 0;
    for fault in [Fault::Killed, Fault::KilledAfter] {
        for step in 1.. {
            let (lab, mut switch) = with_pipeline().await;
            lab.set_fault(step, fault);
            modify(&mut switch, second_pipeline()).unwrap();
            if !lab.fake.host().dead {
                break;
            }
            kills += 1;
            lab.check(&(fault, step));
            let switch = lab.restart(switch).await;
            lab.check(&(fault, step, "restarted"));
            assert_eq!(lab.rules(), lab.intended(), "{fault:?} {step}");
            drop(switch);
        }
    }
    assert!(kills > 10, "{kills}");
}

#[tokio::test]
async fn refused_at_every_step_the_rest_is_there() {
    for fault in [Fault::Refuses, Fault::Full, Fault::Vanishes] {
        for step in 1.. {
            let (lab, mut switch) = with_pipeline().await;
            lab.set_fault(step, fault);
            modify(&mut switch, second_pipeline()).unwrap();
            lab.check(&(fault, step));
            if lab.fake.host().asked < step {
                break;
            }
            if step > 40 {
                break;
            }
            let places = switch.datapath.places(&br0(), true).unwrap();
            let card = &places.cards[0];
            match fault {
                Fault::Vanishes if card.trouble.is_some() => {
                    assert_eq!(card.trouble.as_deref(), Some("no such device"));
                    assert_eq!(lab.rules(), BTreeMap::new());
                }
                _ => assert!(card.trouble.is_none(), "{places:?}"),
            }
        }
    }
}
