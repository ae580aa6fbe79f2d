#!/bin/sh
# Stands for a daemon: does what its config file says (`--config FILE`).
. "$2"
