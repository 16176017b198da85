// One call for each line of input; what happened is printed.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

func request(token string) (int, error) {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(os.Getenv("SIMULATOR_URL") + "/cgi-bin/get_api_domain_ip?access_token=" + token)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var answer struct{ Errcode int }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Errcode == 0 {
		fmt.Println("accepted", token)
	} else {
		fmt.Println(answer.Errcode, token)
	}
	return answer.Errcode, nil
}

func main() {
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		panic(err)
	}
	tokens := &Tokens{Store: redis.NewClient(options)}
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		if err := tokens.Call(context.Background(), os.Getenv("CREDENTIAL_ID"), request); err != nil {
			fmt.Println("failed:", err)
		} else {
			fmt.Println("done")
		}
	}
}
