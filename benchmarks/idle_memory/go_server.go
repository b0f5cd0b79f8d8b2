// SPDX-License-Identifier: BSL-1.0

// The server in Go, on connections that are there: server ROW FD,... FD,...
// A goroutine for each, with a buffer of its own.
package main

import (
	"os"
	"sync"
)

const buffer = 1024

func serve(fds string) int {
	each := connectionsOf(fds)
	var answered sync.WaitGroup
	answered.Add(len(each))
	for _, peer := range each {
		peer := peer
		go func() {
			space := make([]byte, buffer)
			for {
				n, err := peer.Read(space)
				if err != nil {
					return
				}
				_, err = peer.Write(space[:n])
				check(err == nil, "an answer")
				answered.Done()
			}
		}()
	}
	answered.Wait()
	return len(each)
}

func main() {
	row, warm, all := os.Args[1], os.Args[2], os.Args[3]
	serve(warm)
	before := statusOf("VmRSS")
	count := serve(all)
	value("idle_memory", row, float64(statusOf("VmRSS")-before)/float64(count), count, "B")
}
