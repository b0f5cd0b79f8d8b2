// SPDX-License-Identifier: BSL-1.0

// Channels and goroutines: the question of ../question.hpp.
package main

import "fmt"

const messages = 1_000_000

func main() {
	for _, capacity := range []int{0, 1, 1024} {
		row := newRow("channel", fmt.Sprint("capacity_", capacity), messages)
		for row.again() {
			c := make(chan int, capacity)
			sum := make(chan int)
			go func() {
				for i := 0; i < messages; i++ {
					c <- i
				}
			}()
			go func() {
				total := 0
				for i := 0; i < messages; i++ {
					total += <-c
				}
				sum <- total
			}()
			check(<-sum == messages*(messages-1)/2, "each message, once")
		}
	}
}
