use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_replaced_file_holds_the_new_bytes_and_leaves_nothing_beside_it() {
    let dir = folder();
    let path = dir.path().join("CURRENT");
    replace_atomically(&path, b"one").unwrap();
    replace_atomically(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(entries(dir.path()).unwrap().len(), 1);
}

#[test]
fn a_new_file_never_overwrites() {
    let dir = folder();
    let path = dir.path().join("a");
    write_new(&path, b"one").unwrap();
    let again = write_new(&path, b"two").unwrap_err();
    assert!(again.to_string().contains("a: "), "{again}");
    assert_eq!(fs::read(&path).unwrap(), b"one");
}

#[test]
fn a_linked_file_outlives_its_first_name_and_never_overwrites() {
    let dir = folder();
    let (from, to) = (dir.path().join("a"), dir.path().join("b"));
    write_new(&from, b"rows").unwrap();
    link_or_copy(&from, &to).unwrap();
    assert!(link_or_copy(&from, &to).is_err());
    remove_file(&from).unwrap();
    remove_file(&from).unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"rows");
    assert!(matches!(
        link_or_copy(&from, &dir.path().join("c")),
        Err(StorageError::Io { action: "link", .. })
    ));
}

#[test]
fn a_copy_is_a_file_of_its_own() {
    let dir = folder();
    let (from, to) = (dir.path().join("a"), dir.path().join("b"));
    write_new(&from, b"rows").unwrap();
    copy_new(&from, &to).unwrap();
    fs::write(&from, b"changed").unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"rows");
}

#[cfg(unix)]
#[test]
fn what_we_create_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder();
    let inner = dir.path().join("a/b");
    create_private_dir(&inner).unwrap();
    create_private_dir(&inner).unwrap();
    write_new(&inner.join("f"), b"").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&inner), mode(&inner.join("f"))), (0o700, 0o600));
    sync_tree(dir.path()).unwrap();
    remove_tree(&inner).unwrap();
    remove_tree(&inner).unwrap();
    assert!(!inner.exists());
}

#[test]
fn a_watcher_sees_each_operation_and_may_refuse_it() {
    use std::cell::RefCell;
    use std::rc::Rc;
    let dir = folder();
    let path = dir.path().join("a");
    let seen = Rc::new(RefCell::new(Vec::new()));
    let notes = Rc::clone(&seen);
    let watcher = move |operation: Operation<'_>| {
        notes.borrow_mut().push(format!("{operation:?}"));
        match operation {
            Operation::Rename(..) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    };
    let outcome = watched(watcher, || replace_atomically(&path, b"one"));
    assert!(matches!(
        outcome,
        Err(StorageError::Io {
            action: "rename",
            ..
        })
    ));
    let seen = seen.take();
    let verbs: Vec<&str> = seen
        .iter()
        .map(|one| one.split('(').next().unwrap())
        .collect();
    assert_eq!(verbs, ["Remove", "Create", "Sync", "Rename"]);
    replace_atomically(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
}
