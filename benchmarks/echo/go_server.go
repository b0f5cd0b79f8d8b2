// SPDX-License-Identifier: BSL-1.0

// The echo server in Go, on connections that are there: server CONTENDER ROW CLOCK SAMPLES FD,...
// A goroutine for each.
package main

import (
	"net"
	"os"
	"strconv"
)

const echoes, buffer = 20_000, 4096

type counter struct {
	row   *row
	left  int
	ended chan struct{}
}

// count is called by one goroutine at a time: there is one processor.
func (c *counter) count() {
	c.left--
	if c.left > 0 {
		return
	}
	c.left = echoes
	if !c.row.again() {
		close(c.ended)
	}
}

func echo(peer net.Conn, served *counter) {
	space := make([]byte, buffer)
	for {
		n, err := peer.Read(space)
		if err != nil {
			return
		}
		if _, err = peer.Write(space[:n]); err != nil {
			return
		}
		served.count()
	}
}

func main() {
	name, clock, fds := os.Args[2], os.Args[3], os.Args[5]
	samples, err := strconv.Atoi(os.Args[4])
	check(err == nil, "samples")
	row := newRow("echo", name, echoes).slow(samples)
	if clock == "cpu" {
		row.inCPU()
	}
	served := &counter{row, echoes, make(chan struct{})}
	check(row.again(), "the row is wanted")
	for _, peer := range connectionsOf(fds) {
		go echo(peer, served)
	}
	<-served.ended
}
