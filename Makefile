# Thin names for what `cargo xtask` does; see CONTRIBUTING.md.

.PHONY: demo test image bench build

build:
	cargo build --release -p aorta-vswitchd -p aorta-ctl

demo:
	cargo xtask demo

test:
	cargo xtask test

image:
	cargo xtask image

bench:
	cargo xtask bench
