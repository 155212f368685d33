//! The secret of the cluster's To tags.

use super::super::Error;
use super::Database;
use crate::domain::TagSecret;

#[tokio::test]
async fn first_proposed_tag_secret_becomes_that_of_the_cluster() {
    let (database, mut store) = Database::with_schema().await;
    let first = store.tag(&TagSecret::from_random(&[7; 24])).await.unwrap();
    let second = store.tag(&TagSecret::from_random(&[8; 24])).await.unwrap();
    assert_eq!(first, second);

    database.sql("UPDATE sip_filter_cluster SET tag_prefix = 'UPPER'");
    assert!(matches!(store.tag(&first).await, Err(Error::Tag)));
}
