// SPDX-License-Identifier: BSL-1.0

// Goroutines and a sync.WaitGroup: the question of ../question.hpp.
package main

import (
	"fmt"
	"sync"
)

const perSample = 300_000

//go:noinline
func child(n int) int { return n }

func main() {
	for _, count := range []int{10, 1_000, 100_000} {
		repeats := perSample / count
		row := newRow("when_all", fmt.Sprint("tasks_", count), count*repeats)
		for row.again() {
			for i := 0; i < repeats; i++ {
				results := make([]int, count)
				var all sync.WaitGroup
				all.Add(count)
				for n := range results {
					n := n
					go func() {
						results[n] = child(n)
						all.Done()
					}()
				}
				all.Wait()
				sum := 0
				for _, result := range results {
					sum += result
				}
				check(sum == count*(count-1)/2, "each child's result, once")
			}
		}
	}
}
