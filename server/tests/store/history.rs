//! Whatever is written in whatever order, the store gives what a few maps would.

use proptest::prelude::*;
use server::store::verify;
use tempfile::TempDir;

use crate::{
    NOW, found,
    model::{Model, batches, keep},
    open,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_holds_what_a_model_does(history in batches(), reopen_at in 0..12usize) {
        let folder = TempDir::new().unwrap();
        let mut model = Model::default();
        let mut store = Some(open(folder.path()));
        for (number, batch) in history.iter().enumerate() {
            if number == reopen_at {
                // The file is ours alone: the first has to go.
                store = None;
                model = model.settled();
                prop_assert_eq!(&found(folder.path()), &model);
            }
            store.get_or_insert_with(|| open(folder.path())).commit(batch).unwrap();
            for operation in batch {
                model.apply(operation);
            }
        }
        drop(store);
        prop_assert_eq!(found(folder.path()), model.settled());
        // The counts are right, whatever the history; what it says of blocks need not make sense.
        if let Err(error) = verify(folder.path(), NOW) {
            prop_assert!(error.to_string().contains("blocks himself"), "{}", error);
        }
    }
}

#[test]
fn a_batch_is_taken_as_a_whole_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let mut store = open(folder.path());
    store.commit(&[keep(1, 0, 1, "first")]).unwrap();
    let error = store.commit(&[keep(2, 0, 1, "second"), keep(1, 0, 1, "not a new number")]).unwrap_err();
    assert!(error.to_string().contains("parlour.db"), "{error}");
    store.commit(&[keep(3, 0, 1, "third")]).unwrap();
    drop(store);
    let mut model = Model::default();
    model.apply(&keep(1, 0, 1, "first"));
    model.apply(&keep(3, 0, 1, "third"));
    assert_eq!(found(folder.path()), model.settled());
}
