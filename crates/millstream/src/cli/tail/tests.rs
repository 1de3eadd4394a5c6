use serde_json::json;

use super::events::{Event, Events};
use super::{Newest, Printed};

fn event(name: &str, data: &str) -> Event {
    Event { name: name.to_owned(), data: data.to_owned() }
}

#[test]
fn events_are_read_wherever_their_bytes_are_cut() {
    let text = ": heartbeat\n\nevent: rows\nid: 1\ndata: {\"a\":\ndata: \"ä\"}\n\ndata:x\r\n\r\n";
    let expected = [event("rows", "{\"a\":\n\"ä\"}"), event("message", "x")];
    for size in 1..=text.len() {
        let mut events = Events::default();
        let read: Vec<Event> = text.as_bytes().chunks(size).flat_map(|piece| events.push(piece).unwrap()).collect();
        assert_eq!(read, expected, "pieces of {size} bytes");
    }
}

#[test]
fn a_row_is_printed_once_and_the_oldest_first() {
    let columns = vec!["fare".to_owned(), "_file".to_owned(), "_row".to_owned()];
    let row = |number: u64| vec![json!(1), json!("a"), json!(number)];
    let mut printed = Printed::default();
    let first = printed.add(Newest { columns: columns.clone(), rows: vec![row(2), row(1)] }, true);
    assert_eq!(first, "{\"fare\":1,\"_file\":\"a\",\"_row\":1}\n{\"fare\":1,\"_file\":\"a\",\"_row\":2}\n");
    let second = printed.add(Newest { columns: columns.clone(), rows: vec![row(3), row(2)] }, true);
    assert_eq!(second, "{\"fare\":1,\"_file\":\"a\",\"_row\":3}\n");
    assert_eq!(printed.add(Newest { columns, rows: vec![row(3)] }, true), "");
}
