export * from '@slack/types';
export * from '@slack/web-api';
