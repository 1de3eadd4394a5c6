use arrow::array::{ArrayRef, Int64Array, ListArray};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::*;
use crate::archive::foreign::tests::table;
use crate::table::segment::tests::of_rows;

#[tokio::test]
async fn when_a_file_cannot_be_written_nothing_stays_of_those_that_were() {
    let folder = tempfile::TempDir::new().unwrap();
    let segment =
        |offset, values: ArrayRef| Arc::new(of_rows(&RecordBatch::try_from_iter([("n", values)]).unwrap(), offset));
    let rows = 2 * LANE_ROWS;
    let good = segment(0, Arc::new(Int64Array::from_value(1, rows)));
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>((0..rows).map(|_| Some([Some(1)])));
    let bad = segment(1, Arc::new(lists));
    let schema = table_schema(std::slice::from_ref(&good), false);
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let window = Window { segments: vec![good, bad], ..Window::default() };
    assert!(table(&folder, 0).stage(Arc::clone(&store), &window, &schema).await.is_err());
    let left: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}
