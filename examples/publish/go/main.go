// Publish one signal: go run . TICKER b|s [FIELD VALUE]...
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	if len(os.Args) < 3 || len(os.Args)%2 == 0 {
		fmt.Fprintln(os.Stderr, "usage: publish TICKER b|s [FIELD VALUE]...")
		os.Exit(2)
	}
	entryID, err := publish(os.Args[1], os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "not published:", err)
		os.Exit(1)
	}
	fmt.Println(entryID)
}

// publish adds the signal to the stream and returns the entry id.
//
// The client repeats an XADD whose answer was lost (MaxRetries, 3 by default). The signal_id makes
// that harmless: the service places one order for all of them.
func publish(ticker, direction string, more []string) (string, error) {
	options, err := redis.ParseURL(env("REDIS_URL", "redis://localhost:6379/0"))
	if err != nil {
		return "", err
	}
	client := redis.NewClient(options)
	defer client.Close()

	signalID := make([]byte, 16)
	if _, err := rand.Read(signalID); err != nil {
		return "", err
	}
	values := []string{
		"ticker", ticker,
		"direction", direction,
		"signal_id", hex.EncodeToString(signalID),
		"ts", strconv.FormatInt(time.Now().UnixMilli(), 10),
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return client.XAdd(ctx, &redis.XAddArgs{
		Stream: env("STREAM", "nvda"),
		Values: append(values, more...),
	}).Result()
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
