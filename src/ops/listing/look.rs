//! One look at all keys, changing nothing.

use super::{Strategy, Visitor, Walked, choose, disabled, walk};
use crate::address::ServerAddr;
use crate::error::Error;
use crate::ops::Context;
use crate::ops::retry::{Retries, unless_stopped};

/// Shows every key to a visitor, and gives it back with how they were listed. Where a listing breaks off, another one
/// begins with a new visitor.
///
/// # Errors
/// The server could not be reached, or does not list its keys.
pub(in crate::ops) async fn look<V: Visitor>(
    server: &ServerAddr,
    asked: Option<Strategy>,
    context: &Context,
    visitor: impl Fn() -> V,
) -> Result<(Strategy, V), Error> {
    let mut retries = Retries::new(context);
    let mut strategy = choose(server, asked, context, &mut retries).await?;
    loop {
        let mut visitor = visitor();
        let walk = async {
            let mut client = context.connect(server).await?;
            walk(strategy, &mut client, context, &mut visitor).await
        };
        match unless_stopped(context, server, walk).await {
            Ok(Walked::Refused(reply)) if asked.is_some() || strategy == Strategy::Cachedump => {
                return Err(disabled(server, reply));
            }
            Ok(Walked::Refused(_)) => strategy = Strategy::Cachedump,
            Ok(Walked::Whole | Walked::GivenUp) => return Ok((strategy, visitor)),
            Err(error) => retries.after(error).await?,
        }
    }
}
