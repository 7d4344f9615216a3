// An app that caches 500 entries: store LIBRARY ACTION APP. A name that the library refuses is stored percent-encoded, or
// where it is too long by its digest, as apps do.
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func substitute(name string) string {
	if len(name) > 200 {
		return fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	}
	return url.PathEscape(name)
}

func main() {
	action, app := os.Args[2], os.Args[3]
	client := memcache.New(os.Getenv("SERVER"))
	key := func(name string) string { return app + ":" + name }
	write := func(name, value string) error {
		return client.Set(&memcache.Item{Key: key(name), Value: []byte(value)})
	}
	read := func(name string) (string, error) {
		item, err := client.Get(key(name))
		if err == memcache.ErrCacheMiss || err == memcache.ErrMalformedKey {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		return string(item.Value), nil
	}

	file, err := os.Open(os.Getenv("NAMES"))
	check(err)
	var kinds, names []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		entry := strings.SplitN(lines.Text(), "\t", 2)
		kinds, names = append(kinds, entry[0]), append(names, entry[1])
	}

	switch action {
	case "fill":
		var refused []string
		seen := map[string]bool{}
		for i, name := range names {
			err := write(name, app+" "+name)
			if err == memcache.ErrMalformedKey {
				err = write(substitute(name), app+" "+name)
				if !seen[kinds[i]] {
					seen[kinds[i]] = true
					refused = append(refused, kinds[i])
				}
			}
			check(err)
		}
		if len(refused) == 0 {
			refused = []string{"none"}
		}
		fmt.Println(strings.Join(refused, ", "))
	case "count":
		found := 0
		for _, name := range names {
			for _, used := range []string{name, substitute(name)} {
				value, err := read(used)
				check(err)
				if value == app+" "+name {
					found++
					break
				}
			}
		}
		fmt.Println(found)
	case "clear":
		check(client.FlushAll())
	}
}
