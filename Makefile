# Thin names for what `cargo xtask` does; see CONTRIBUTING.md.

.PHONY: build demo test image bench need-rust

build: need-rust
	cargo build --release -p aorta-vswitchd -p aorta-ctl

demo: need-rust
	cargo xtask demo

test: need-rust
	cargo xtask test

image: need-rust
	cargo xtask image

bench: need-rust
	cargo xtask bench

# An older cargo fails on the workspace in ways that don't tell the reason, so look first.
need-rust:
	@sh xtask/need-rust.sh
