//! Pipelines whose commands do not all succeed, or have answers of several parts.

use super::*;

#[tokio::test]
async fn a_get_of_several_keys_in_a_pipeline_gets_all_their_values() {
    let (mut client, mut far) = pair();
    let mut pipeline = client.pipeline();
    let keys = Keys::new(["a", "b", "c"].map(key).to_vec()).unwrap();
    let found = pipeline.push(Call::retrieve(Retrieve { keys, with_cas: false, touch: None }));
    far.write_all(b"VALUE a 0 1\r\n1\r\nVALUE c 0 1\r\n3\r\nEND\r\n").await.unwrap();
    let values = pipeline.send().await.unwrap().take(found).unwrap();
    assert_eq!(values.iter().map(Value::key).collect::<Vec<_>>(), [b"a", b"c"]);
}

/// Wherever the answers are cut, each value goes to the `get` of its key, and a value of another key to none.
#[tokio::test]
async fn each_get_of_a_pipeline_gets_the_value_of_its_own_key() {
    const SAID: &str = "VALUE long:key 0 1\r\n1\r\nEND\r\nSTORED\r\nEND\r\nVALUE b 0 2\r\n22\r\nEND\r\n";
    for (said, is_answered) in [(SAID.to_owned(), true), (SAID.replace("VALUE b", "VALUE l"), false)] {
        for cut in 0..said.len() {
            let (mut client, mut far) = pair();
            let mut pipeline = client.pipeline();
            let first = pipeline.push(Call::get(key("long:key")));
            let _ = (pipeline.push(Call::set(item())), pipeline.push(Call::get(key("missing"))));
            let last = pipeline.push(Call::get(key("b")));
            let (head, rest) = said.split_at(cut);
            let answering = async {
                far.write_all(head.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
                far.write_all(rest.as_bytes()).await.unwrap();
            };
            let (answers, ()) = tokio::join!(pipeline.send(), answering);
            assert_eq!(answers.is_ok(), is_answered, "{answers:?}");
            let Ok(mut answers) = answers else { continue };
            assert_eq!(answers.take(first).unwrap().unwrap().data(), b"1");
            assert_eq!(answers.take(last).unwrap().unwrap().data(), b"22");
        }
    }
}

/// The error line ends what the server says to the quiet command, so the next line is the answer to the `get`.
#[tokio::test]
async fn a_get_after_a_quiet_command_that_failed_has_its_own_answer() {
    for (said, expected) in [("END\r\n", None), ("VALUE b 0 1\r\nx\r\nEND\r\n", Some(Bytes::from("x")))] {
        let (mut client, mut far) = pair();
        let mut pipeline = client.pipeline();
        let deleted = pipeline.push(Call::noreply(Delete::new(key("a"))));
        let found = pipeline.push(Call::get(key("b")));
        far.write_all(format!("SERVER_ERROR out of memory\r\n{said}").as_bytes()).await.unwrap();
        let mut answers = pipeline.send().await.unwrap();
        let error = answers.take(deleted).unwrap_err();
        assert!(matches!(error.problem, Problem::Refusal { command: "delete", .. }), "{error}");
        assert_eq!(answers.take(found).unwrap().map(Value::into_data), expected);
    }
}

/// A proxy that does not know a command closes the connection there, before it has answered anything.
#[tokio::test]
async fn a_close_after_the_first_answer_of_a_pipeline_is_not_like_a_proxy_s() {
    let (mut client, mut far) = pair();
    let mut pipeline = client.pipeline();
    let _ = (pipeline.push(Call::version()), pipeline.push(Call::version()));
    far.write_all(b"VERSION 1.6.45\r\n").await.unwrap();
    far.shutdown().await.unwrap();
    let error = pipeline.send().await.unwrap_err();
    assert!(matches!(error.problem, Problem::Lost { like_a_proxy: false, .. }), "{error}");
}
