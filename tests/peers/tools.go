//go:build tools

// Package peers pins, through go.mod and go.sum, the programs that the interoperability tests and the
// benchmark run beside Chancery. It is never built itself; `cargo xtask test` builds the commands.
package peers

import (
	_ "github.com/globalsign/est/cmd/estclient"
	_ "github.com/globalsign/est/cmd/estserver"
	_ "github.com/zmap/zlint/v3/cmd/zlint"
)
