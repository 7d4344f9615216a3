#!/bin/sh
# In the Dockerfile:
#   COPY mcflush /usr/local/bin/
#   COPY entrypoint.sh /
#   ENTRYPOINT ["/entrypoint.sh"]
# Empties the cache of MCFLUSH_SERVERS, then becomes the app (CMD); where that fails the container ends with mcflush's status.
# Each replica does so at each start: for many of them, run mcflush once in a job of its own.
set -eu
: "${MCFLUSH_SERVERS:?is not set}"
mcflush --prefix shop:
exec "$@"
