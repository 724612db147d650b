//! What a client may take.
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use aorta_ovsdb::{Remote, Setup};

use crate::common::Lab;

#[tokio::test]
async fn a_socket_is_for_its_owner_and_a_group_if_one_is_given() {
    let lab = Lab::new().await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&lab.socket()) & 0o777, 0o600);
    let path = lab.directory.path().join("group.sock");
    let remote = Remote::ListenUnix(path.clone());
    let setup = Setup {
        group: Some(4),
        ..Setup::usual(&remote)
    };
    let _listener = lab.store.listen_with(&remote, setup).await.unwrap();
    assert_eq!(mode(&path) & 0o777, 0o660);
    assert_eq!(std::fs::metadata(&path).unwrap().gid(), 4);
}
