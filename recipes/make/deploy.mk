# For a Makefile: `include deploy.mk`. make stops at the first line that fails, so a site whose cache was not emptied is not
# opened, and `make deploy` is red. The servers are those of MCFLUSH_SERVERS; for one app of several: mcflush --prefix shop:
# These are lines of one target and not targets of their own, because `make -j` would run those at the same time.

.PHONY: deploy
deploy:
	./bin/release
	mcflush --all
	./bin/open
