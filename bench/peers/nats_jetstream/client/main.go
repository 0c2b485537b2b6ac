// Publishes to a JetStream stream as fast as its acknowledgements come: several connections, each with a bounded
// window of messages in flight. Prints one JSON object; measure-start and measure-end on standard error.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// One publication of so many has its latency kept, to bound the memory.
const latencyEvery = 16

type inFlight struct {
	ack  jetstream.PubAckFuture
	sent time.Time
}

type tally struct {
	acknowledged int
	latencies    []float64
	err          error
}

func publish(url string, payload []byte, window int, from, until time.Time) (result tally) {
	connection, err := nats.Connect(url)
	if err != nil {
		return tally{err: err}
	}
	defer connection.Close()
	stream, err := jetstream.New(connection, jetstream.WithPublishAsyncMaxPending(window))
	if err != nil {
		return tally{err: err}
	}
	pending := make(chan inFlight, window)
	go func() {
		defer close(pending)
		for time.Now().Before(until) {
			sent := time.Now()
			ack, err := stream.PublishAsync("logs.events", payload)
			if err != nil {
				continue // the window is full for longer than the client waits
			}
			pending <- inFlight{ack, sent}
		}
	}()
	for one := range pending {
		select {
		case <-one.ack.Ok():
			now := time.Now()
			if now.After(from) && now.Before(until) {
				result.acknowledged++
				if result.acknowledged%latencyEvery == 0 {
					result.latencies = append(result.latencies, float64(now.Sub(one.sent).Microseconds())/1000)
				}
			}
		case err := <-one.ack.Err():
			result.err = err
		}
	}
	return result
}

func createStream(url string) error {
	connection, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	legacy, err := connection.JetStream()
	if err != nil {
		return err
	}
	_, err = legacy.AddStream(&nats.StreamConfig{Name: "logs", Subjects: []string{"logs.>"}, Storage: nats.FileStorage})
	return err
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func main() {
	url := flag.String("url", "nats://127.0.0.1:4222", "server")
	clients := flag.Int("clients", 4, "connections")
	window := flag.Int("window", 2048, "messages in flight per connection")
	size := flag.Int("size", 250, "bytes of a message")
	warmup := flag.Duration("warmup", time.Second, "not measured, before")
	duration := flag.Duration("duration", 5*time.Second, "measured")
	flag.Parse()
	if err := createStream(*url); err != nil {
		fail(err)
	}
	payload := make([]byte, *size)
	for index := range payload {
		payload[index] = byte('a' + index%26)
	}
	from := time.Now().Add(*warmup)
	until := from.Add(*duration)
	tallies := make([]tally, *clients)
	var group sync.WaitGroup
	for index := range tallies {
		group.Add(1)
		go func() {
			defer group.Done()
			tallies[index] = publish(*url, payload, *window, from, until)
		}()
	}
	time.Sleep(time.Until(from))
	fmt.Fprintln(os.Stderr, "measure-start")
	time.Sleep(time.Until(until))
	fmt.Fprintln(os.Stderr, "measure-end")
	group.Wait()
	report(tallies, *duration)
}

func report(tallies []tally, duration time.Duration) {
	total, latencies := 0, []float64{}
	for _, one := range tallies {
		if one.err != nil {
			fail(one.err)
		}
		total += one.acknowledged
		latencies = append(latencies, one.latencies...)
	}
	sort.Float64s(latencies)
	at := func(quantile float64) float64 {
		if len(latencies) == 0 {
			return 0
		}
		return latencies[int(quantile*float64(len(latencies)-1))]
	}
	encoded, err := json.Marshal(map[string]float64{
		"acknowledged": float64(total),
		"per_second":   float64(total) / duration.Seconds(),
		"p50_ms":       at(0.5),
		"p99_ms":       at(0.99),
	})
	if err != nil {
		fail(err)
	}
	fmt.Println(string(encoded))
}
