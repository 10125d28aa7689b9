//! Promise 28 of the contract: the memory of a cache and of a view, however many threads read them.

#[path = "../memory.rs"]
mod memory;

use memory::{Memory, THREADS, measure};

#[test]
fn p28_memory_does_not_grow_with_threads() {
    let measured = THREADS.map(measure);
    for Memory { threads, cache_bytes, view_bytes } in measured {
        println!("{threads} threads: {cache_bytes} bytes for a cache, {view_bytes} bytes for a view");
        assert!(cache_bytes <= 2000, "a cache takes {cache_bytes} bytes after reads by {threads} threads");
        assert!(view_bytes <= 1000, "a view takes {view_bytes} bytes after reads by {threads} threads");
    }
    let sizes = measured.map(|memory| (memory.cache_bytes, memory.view_bytes));
    assert!(sizes.iter().all(|size| *size == sizes[0]), "the memory depends on the number of threads: {measured:?}");
}
