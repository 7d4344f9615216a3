//! The codec allocates nothing for each listed key or value: they are slices of the read buffer.

use bytes::BytesMut;
use mcflush::codec::ClientCodec;
use mcflush::protocol::Request;
use tokio_util::codec::{Decoder, Encoder};

const COUNT: usize = 10_000;

fn count(request: &str, first: &str, item: &str, last: &str) -> u64 {
    let mut asked = BytesMut::from(request);
    let request: Request = mcflush::codec::ServerCodec::default().decode(&mut asked).unwrap().unwrap().request;
    let mut codec = ClientCodec::default();
    codec.encode(request, &mut BytesMut::new()).unwrap();
    let mut buffer = BytesMut::from(format!("{first}{}{last}", item.repeat(COUNT)).as_bytes());
    let mut items = 0;
    let info = allocation_counter::measure(|| {
        while let Some(answer) = codec.decode(&mut buffer).unwrap() {
            assert_eq!(answer.spelling.line(), None);
            items += 1;
        }
    });
    assert!(items > COUNT);
    info.count_total
}

#[test]
fn listings_and_values_allocate_nothing_of_their_own() {
    for (request, first, item, last) in [
        (
            "lru_crawler metadump all\r\n",
            "OK\r\n",
            "key=shop%3A1 exp=-1 la=1 cas=2 fetch=no cls=1 size=66 flags=0 \n",
            "END\r\n",
        ),
        ("lru_crawler metadump all\r\n", "OK\r\n", "exp=-1 key=shop%3A1\n", "END\r\n"),
        ("lru_crawler mgdump all\r\n", "OK\r\n", "mg shop:1\r\n", "EN\r\n"),
        ("stats cachedump 1 0\r\n", "", "ITEM shop:1 [1 b; 0 s]\r\n", "END\r\n"),
        ("stats\r\n", "", "STAT pid 1\r\n", "END\r\n"),
        ("gets a\r\n", "", "VALUE a 0 3 7\r\nabc\r\n", "END\r\n"),
    ] {
        let allocations = count(request, first, item, last);
        // The buffer itself allocates a few times; no item does.
        assert!(allocations < 16, "{allocations} for {COUNT} of {item:?}");
    }
}
