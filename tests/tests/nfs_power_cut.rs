//! A power cut of the guest: what was synced is there after it, what was not is not. Tests of
//! acknowledged writes stand on both.

use std::{
    fs::{self, File},
    io::Write as _,
};

use berth_tests::guest;

const SYNCED: &str = "/var/lib/synced";
const UNSYNCED: &str = "/var/lib/unsynced";

#[test]
fn a_power_cut_keeps_what_was_synced_and_nothing_else() {
    if guest::boot() == 1 {
        let mut file = File::create(SYNCED).unwrap();
        file.write_all(b"kept").unwrap();
        file.sync_all().unwrap();
        fs::write(UNSYNCED, "lost").unwrap();
        assert_eq!(fs::read_to_string(UNSYNCED).unwrap(), "lost");
        guest::power_cut();
    }
    assert_eq!(guest::boot(), 2);
    assert_eq!(fs::read_to_string(SYNCED).unwrap(), "kept");
    let unsynced = fs::read_to_string(UNSYNCED).unwrap_or_default();
    assert_ne!(unsynced, "lost");
}
