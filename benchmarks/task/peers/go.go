// SPDX-License-Identifier: BSL-1.0

// Goroutines: of ../question.hpp what is no plain call in Go.
package main

import "runtime"

const yields, spawns = 1_000_000, 300_000

//go:noinline
func child(n int) int { return n }

func main() {
	hop := newRow("task", "yield", yields)
	for hop.again() {
		hops := 0
		for i := 0; i < yields; i++ {
			runtime.Gosched()
			hops++
		}
		check(hops == yields, "yield")
	}

	join := newRow("task", "spawn_join", spawns)
	for join.again() {
		sum := 0
		result := make(chan int)
		for i := 0; i < spawns; i++ {
			i := i
			go func() { result <- child(i) }()
			sum += <-result
		}
		check(sum == spawns*(spawns-1)/2, "spawn_join")
	}
}
