// One call for each line of input; what happened is printed.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import org.json.JSONObject;

final class Driver {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    private static JSONObject request(String token) {
        String url = System.getenv("SIMULATOR_URL") + "/cgi-bin/get_api_domain_ip?access_token=" + token;
        HttpRequest request = HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofSeconds(5)).build();
        try {
            JSONObject answer = new JSONObject(CLIENT.send(request, BodyHandlers.ofString()).body());
            System.out.println(answer.optString("errcode", "accepted") + " " + token);
            return answer;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    public static void main(String[] arguments) throws IOException {
        Tokens tokens = new Tokens();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        while (input.readLine() != null) {
            try {
                tokens.call(System.getenv("CREDENTIAL_ID"), Driver::request);
                System.out.println("done");
            } catch (Exception error) {
                System.out.println("failed: " + error.getMessage());
            }
        }
    }
}
