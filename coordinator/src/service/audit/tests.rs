//! Which methods are written down.

use super::*;

#[test]
fn every_method_is_written_down_or_is_named_as_one_that_is_not() {
    for (service, methods) in UNWRITTEN {
        for method in methods {
            let path = format!("/{service}/{method}");
            assert!(access::is_method(&path), "there is no {path} any more");
            assert!(!is_written(&path));
        }
    }
    let written: Vec<String> = access::TABLE
        .iter()
        .flat_map(|(service, methods)| {
            let paths = methods
                .iter()
                .map(move |(name, _)| format!("{service}/{name}"));
            paths.filter(|path| is_written(&format!("/{path}")))
        })
        .collect();
    let expected = "\
berth.v1.ObjectService/Apply berth.v1.ObjectService/Delete \
berth.v1.SetService/Scale berth.v1.SetService/Undo berth.v1.SetService/RolloutRestart \
berth.v1.SetService/RolloutPause berth.v1.SetService/Refound \
berth.v1.MemberService/Exec berth.v1.MemberService/Restart berth.v1.MemberService/SetOffline \
berth.v1.MemberService/SetCondition berth.v1.MemberService/Replace berth.v1.MemberService/Move \
berth.v1.MemberService/CancelMove berth.v1.MemberService/Force \
berth.v1.HostService/SetUnschedulable berth.v1.HostService/Drain berth.v1.HostService/Label \
berth.v1.HostService/ConfirmDead berth.v1.HostService/Remove \
berth.v1.VolumeService/Adopt berth.v1.VolumeService/Release berth.v1.VolumeService/Delete \
berth.v1.VolumeService/Undelete \
berth.v1.AdminService/AcceptRestore berth.v1.AdminService/Backup \
berth.v1.AccessService/CreateToken berth.v1.AccessService/DeleteToken \
berth.v1.AccessService/CreateUser berth.v1.AccessService/DeleteUser \
berth.v1.IdentityService/Join berth.v1.IdentityService/Renew";
    assert_eq!(written.join(" "), expected);
    assert!(!is_written("/berth.v1.None/None") && !is_written(""));
}
