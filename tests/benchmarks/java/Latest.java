import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * The workload `latest` of kstream-bench on Kafka Streams:
 * `Latest BOOTSTRAP APP_ID THREADS GUARANTEE STATE_DIR SESSION_TIMEOUT_MS`. It keeps the latest value of each key of
 * `bench-in` and sends the value's first eight bytes to `bench-out`. When its tasks run it prints
 * `ready restored_records=N`; it runs until SIGTERM.
 */
public final class Latest {
    private static final int MARK_BYTES = 8;

    public static void main(String[] args) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream("bench-in", Consumed.with(Serdes.Bytes(), Serdes.ByteArray()))
                .groupByKey()
                .reduce((old, latest) -> latest,
                        Materialized.<Bytes, byte[], KeyValueStore<Bytes, byte[]>>as("latest"))
                .toStream()
                .mapValues(value -> java.util.Arrays.copyOf(value, MARK_BYTES))
                .to("bench-out", Produced.with(Serdes.Bytes(), Serdes.ByteArray()));

        Properties config = new Properties();
        config.putAll(Map.of(
                StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0],
                StreamsConfig.APPLICATION_ID_CONFIG, args[1],
                StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[2],
                StreamsConfig.PROCESSING_GUARANTEE_CONFIG, args[3],
                StreamsConfig.STATE_DIR_CONFIG, args[4],
                StreamsConfig.consumerPrefix("session.timeout.ms"), args[5],
                StreamsConfig.consumerPrefix("heartbeat.interval.ms"), "1000",
                StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest",
                StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.Bytes().getClass(),
                StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArray().getClass()));
        KafkaStreams streams = new KafkaStreams(builder.build(), config);
        AtomicLong restored = new AtomicLong();
        streams.setGlobalStateRestoreListener(new StateRestoreListener() {
            @Override public void onRestoreStart(TopicPartition partition, String store, long from, long to) {}
            @Override public void onBatchRestored(TopicPartition partition, String store, long to, long count) {
                restored.addAndGet(count);
            }
            @Override public void onRestoreEnd(TopicPartition partition, String store, long total) {}
        });
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                System.out.println("ready restored_records=" + restored.get());
            }
        });
        CountDownLatch end = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            end.countDown();
        }));
        streams.start();
        end.await();
    }
}
