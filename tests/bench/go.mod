module chancery.dev/tests/bench

go 1.19
