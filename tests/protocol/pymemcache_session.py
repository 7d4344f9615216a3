"""A session of pymemcache's whole client: `pymemcache_session.py HOST PORT` prints ok when all went as it should."""
import sys

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheClientError, MemcacheIllegalInputError

client = Client((sys.argv[1], int(sys.argv[2])), default_noreply=False, timeout=30)


def check(got, wanted):
    assert got == wanted, (got, wanted)


check(client.set("a", b"1"), True)
check(client.add("a", b"2"), False)
check(client.replace("missing", b"2"), False)
check(client.append("a", b"2"), True)
check(client.prepend("a", b"0"), True)
check(client.get("a"), b"012")
value, cas = client.gets("a")
check(client.cas("a", b"5", cas), True)
check(client.cas("a", b"6", cas), False)
check(client.cas("missing", b"6", cas), None)
check(client.incr("a", 5), 10)
check(client.decr("a", 100), 0)
check(client.incr("missing", 1), None)
check(client.touch("a", 100), True)
check(client.touch("missing", 100), False)
check(client.set_many({f"k{n}": b"x" * n for n in range(200)}), [])
check(client.get_many([f"k{n}" for n in range(250)]), {f"k{n}": b"x" * n for n in range(200)})
check(len(client.gets_many([f"k{n}" for n in range(10)])), 10)
large = bytes(range(256)) * 4000
check(client.set("large", large), True)
check(client.get("large"), large)
client.set("quiet", b"x", noreply=True)
client.delete("quiet", noreply=True)
check(client.get("quiet"), None)
check(client.delete_many(["k1", "k2"]), True)
check(client.delete("k3"), True)
check(client.delete("k3"), False)
client.set("word", b"text")
try:
    client.incr("word", 1)
    raise AssertionError("a word counts")
except MemcacheClientError:
    pass
check(client.get("word"), b"text")
assert client.stats()[b"curr_items"] > 190
assert client.stats("settings")
assert client.stats("items")
assert client.version()
check(client.cache_memlimit(64), True)
check(client.flush_all(), True)
check(client.get("a"), None)
client.quit()
print("ok")
