//! What becomes of volumes on a real kernel: to the trash and back, and larger under a running
//! member. Needs root, and a kernel with loop devices and ext4.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use std::{fs, path::PathBuf};

use berth_agent::host::Host;
use berth_core::{
    ids::Uid,
    order::VolumeOrder,
    volume::{
        VolumeSource,
        work::{VolumeTask, VolumeWork},
    },
    waiting::Reason,
};

#[expect(dead_code, reason = "shared with the keepers' tests")]
mod support;
use support::*;
#[path = "support/volumes.rs"]
mod volumes;
use volumes::*;

const POOLS: [(&str, &str); 2] = [("default", "pool"), ("images", "images")];

fn work(order: &VolumeOrder, task: VolumeTask) -> VolumeWork {
    VolumeWork {
        volume: format!("default/pvc-{}", order.claim_uid).parse().unwrap(),
        owners: vec![order.claim_uid.clone()],
        filled: order.filled,
        source: order.source.clone(),
        deletion: 1,
        task,
        from: None,
    }
}

async fn done(bed: &Bed, order: &VolumeOrder, task: VolumeTask) -> Result<(), Reason> {
    bed.host.volume_work(work(order, task)).await
}

/// A run of the member on a volume.
async fn start(bed: &Bed, order: &VolumeOrder, counter: u64) -> berth_agent::host::KeeperHandle {
    let mut launch = bed.launch(vec![with_volumes(bed, WAIT_FOREVER, &[&order.name])]);
    launch.volumes = bed
        .prepare(std::slice::from_ref(order), counter)
        .await
        .unwrap();
    bed.host.start_keeper(launch).await.unwrap()
}

fn dir_of(order: &VolumeOrder) -> &str {
    match &order.source {
        VolumeSource::Local { dir, .. } => dir,
        VolumeSource::Nfs(_) => panic!("it is local"),
    }
}

#[tokio::test]
async fn a_volume_comes_back_from_the_trash_although_its_name_was_used_again() {
    for (pool, path) in POOLS {
        let bed = Bed::new(&format!("trash-{path}"));
        let path = bed.dir.path().join(path);
        let mut first = bed.volume("a", pool);
        let at = target(&bed, "a");
        let handle = start(&bed, &first, 1).await;
        exec(&handle, &format!("echo first > {}/file", at.display())).await;
        let busy = done(&bed, &first, VolumeTask::Trash).await.unwrap_err();
        assert!(
            matches!(&busy, Reason::VolumeBusy { by, .. } if by.contains(&bed.member().name())),
            "{busy}"
        );
        stop(&bed, handle).await;
        for _ in 0..2 {
            done(&bed, &first, VolumeTask::Trash).await.unwrap();
        }
        let thrown = path.join(".berth-trash/pvc-u-a.1");
        assert!(thrown.is_dir() && !path.join(dir_of(&first)).exists());
        first.filled = true;
        let lost = bed.prepare(std::slice::from_ref(&first), 2).await;
        assert!(matches!(lost, Err(Reason::VolumeEmpty { .. })), "{lost:?}");

        // The same claim, made anew while the old volume is in the trash.
        let mut second = bed.volume("a", pool);
        second.claim_uid = Uid("u-b".to_owned());
        let handle = start(&bed, &second, 3).await;
        let seen = exec(&handle, &format!("ls {}; echo second", at.display())).await;
        assert_eq!(seen.trim(), "second");
        stop(&bed, handle).await;
        let taken = done(&bed, &first, VolumeTask::Restore).await.unwrap_err();
        assert!(taken.to_string().contains("there already"), "{taken}");
        done(&bed, &second, VolumeTask::Trash).await.unwrap();
        assert_eq!(fs::read_dir(path.join(".berth-trash")).unwrap().count(), 2);

        for _ in 0..2 {
            done(&bed, &first, VolumeTask::Restore).await.unwrap();
        }
        let handle = start(&bed, &first, 4).await;
        let seen = exec(&handle, &format!("cat {}/file", at.display())).await;
        assert_eq!(seen.trim(), "first");
        stop(&bed, handle).await;
    }
}

#[tokio::test]
async fn another_claims_volume_stays_where_it_is() {
    for (pool, path) in POOLS {
        let bed = Bed::new(&format!("foreign-{path}"));
        let order = bed.volume("a", pool);
        bed.prepare(std::slice::from_ref(&order), 1).await.unwrap();
        let mut other = order.clone();
        other.claim_uid = Uid("u-other".to_owned());
        for task in [
            VolumeTask::Trash,
            VolumeTask::Restore,
            VolumeTask::Grow { bytes: 32 << 20 },
        ] {
            let result = done(&bed, &other, task).await;
            let grows_by_itself = pool == "default" && matches!(task, VolumeTask::Grow { .. });
            match result {
                Ok(()) => assert!(grows_by_itself, "{task:?}"),
                Err(reason) => assert!(matches!(reason, Reason::VolumeForeign { .. }), "{reason}"),
            }
        }
        let here = bed.dir.path().join(path).join(dir_of(&order));
        assert!(here.is_dir());
        assert!(!here.parent().unwrap().join(".berth-trash").exists());
    }
}

#[tokio::test]
async fn an_image_that_something_shows_does_not_go_to_the_trash() {
    let bed = Bed::new("shown");
    let order = bed.volume("a", "images");
    let handle = start(&bed, &order, 1).await;
    // An agent that lost its records still does not move what is mounted.
    let run = bed.dir.path().join("run");
    let aside = bed.dir.path().join("aside");
    fs::rename(&run, &aside).unwrap();
    fs::create_dir(&run).unwrap();
    let busy = done(&bed, &order, VolumeTask::Trash).await.unwrap_err();
    assert!(
        matches!(&busy, Reason::VolumeBusy { by, .. } if by.contains("/dev/loop")),
        "{busy}"
    );
    fs::remove_dir(&run).unwrap();
    fs::rename(&aside, &run).unwrap();
    stop(&bed, handle).await;
    done(&bed, &order, VolumeTask::Trash).await.unwrap();
}

fn image_of(bed: &Bed) -> PathBuf {
    image(bed, "a")
}

fn size(bed: &Bed) -> u64 {
    fs::metadata(image_of(bed)).unwrap().len()
}

#[tokio::test]
async fn an_image_grows_under_a_running_member_and_never_shrinks() {
    let bed = Bed::new("grow");
    let order = bed.volume("a", "images");
    let handle = start(&bed, &order, 1).await;
    let (at, pid) = (target(&bed, "a"), pid_of(&handle, "main").await);
    let write = |file: &str, megabytes: u32| {
        format!(
            "dd if=/dev/zero of={}/{file} bs=1M count={megabytes} conv=fsync 2>&1 && echo written",
            at.display()
        )
    };
    exec(&handle, &format!("echo x > {}/first", at.display())).await;
    let said = exec(&handle, &write("early", 30)).await;
    assert!(said.contains("No space left on device"), "{said}");

    for _ in 0..2 {
        let grown = done(&bed, &order, VolumeTask::Grow { bytes: 48 << 20 }).await;
        if !has_sys_resource() {
            // Then a restart is needed, and told.
            let told = grown.unwrap_err().to_string();
            assert!(told.contains("restart the member"), "{told}");
            stop(&bed, handle).await;
            return grows_before_a_start(&bed, order, 48).await;
        }
        grown.unwrap();
    }
    exec(&handle, &format!("rm {}/early", at.display())).await;
    let said = exec(&handle, &write("more", 24)).await;
    assert!(said.contains("written"), "{said}");
    assert_eq!(loops(bed.dir.path()).len(), 1, "there is one device still");

    let smaller = VolumeTask::Grow { bytes: 1 << 20 };
    done(&bed, &order, smaller).await.unwrap();
    assert_eq!(size(&bed), 48 << 20);
    let error = done(&bed, &order, VolumeTask::Grow { bytes: 1 << 50 })
        .await
        .unwrap_err();
    assert!(matches!(error, Reason::VolumeNoSpace(_)), "{error}");
    assert_eq!(size(&bed), 48 << 20, "nothing was taken");

    // An agent that died after the file had grown, and before anybody was told.
    let file = fs::File::options()
        .write(true)
        .open(image_of(&bed))
        .unwrap();
    file.set_len(80 << 20).unwrap();
    done(&bed, &order, VolumeTask::Grow { bytes: 80 << 20 })
        .await
        .unwrap();
    let said = exec(&handle, &write("last", 28)).await;
    assert!(said.contains("written"), "{said}");
    assert_eq!(pid_of(&handle, "main").await, pid, "it was not restarted");
    stop(&bed, handle).await;
    grows_before_a_start(&bed, order, 112).await;
}

/// Grows the stopped member's image by 24 MiB and more: first at a start, then by itself.
async fn grows_before_a_start(bed: &Bed, mut order: VolumeOrder, megabytes: u64) {
    order.filled = true;
    let at = target(bed, "a");
    for (counter, by_itself) in [(2, false), (3, true)] {
        order.capacity = (megabytes + 32 * counter) << 20;
        if by_itself {
            let bytes = order.capacity;
            for _ in 0..2 {
                done(bed, &order, VolumeTask::Grow { bytes }).await.unwrap();
            }
            assert!(loops(bed.dir.path()).is_empty(), "a helper leaves none");
        }
        let handle = start(bed, &order, counter).await;
        let script = format!(
            "rm -f {at}/early; ls {at}/first && dd if=/dev/zero of={at}/at-{counter} bs=1M count=24 \
             conv=fsync 2>&1 && echo written",
            at = at.display()
        );
        let said = exec(&handle, &script).await;
        assert!(said.contains("written"), "{said}");
        stop(bed, handle).await;
        assert_eq!(size(bed), order.capacity);
    }
    fs::remove_file(image_of(bed)).unwrap();
    let lost = done(bed, &order, VolumeTask::Grow { bytes: 1 << 30 }).await;
    assert!(matches!(lost, Err(Reason::VolumeEmpty { .. })), "{lost:?}");
}
